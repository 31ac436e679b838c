"""Memberships: the points accounts, the people in them and their cards."""
