"""Tiers: reached by the points of sales, kept for years, never lost before a period ends."""
