"""Staff: who works here, their sessions and roles, and the keys of their tills."""
