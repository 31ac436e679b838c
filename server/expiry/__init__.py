"""Points that lapse: the schedule, the notices before, and the run that books them."""
