"""The points ledger: append-only entries, lots with their own dates, allocations that say which debit used which lot."""
