"""Consents: what marketing may do, as events with the words that were shown."""
