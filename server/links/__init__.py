"""POS records: what tills know of customers, and which of them are whose."""
