"""Small, plausible mistakes in the service, made by hand, and a run that shows that the ledger's machine finds them."""
