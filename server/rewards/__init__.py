"""Rewards: what points buy, and the vouchers that stand for it."""
