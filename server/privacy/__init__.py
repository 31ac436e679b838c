"""Privacy: a copy of everything held about a person, and forgetting a person."""
