"""Bonuses: points for joining, birthdays, the first purchase and friends brought along, each given once."""
