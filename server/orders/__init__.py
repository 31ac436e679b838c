"""Orders: sales as the till tells them, and what they earn."""
