"""The desk: what staff do for customers: find, register, look, edit, invite."""
