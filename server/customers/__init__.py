"""Customers: the people the shop knows, their names and contact points."""
