"""A bank of points: clients that move them while the service is killed, and an audit of what is there at the end."""
