"""What is brought over from another system: opening balances."""
