"""Figures about points over time, for whoever runs the shop and whoever checks it."""
