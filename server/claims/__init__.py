"""Claim codes: a code on paper brings a customer the points that the shop has kept for them."""
