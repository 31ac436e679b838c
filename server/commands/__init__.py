"""The commands of `regulars`, by what they are about."""
