"""Merges: two customers who are one person become one, and two again where that was wrong."""
