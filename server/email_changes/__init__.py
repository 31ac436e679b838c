"""Email changes: another address for the same person, by member or staff, and the way back."""
