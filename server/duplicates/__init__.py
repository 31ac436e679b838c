"""Pairs of customers who may be one person: found by their keys, weighed by evidence, decided by staff."""
