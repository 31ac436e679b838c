"""Points that staff give or take by hand: limits, second person, undo."""
