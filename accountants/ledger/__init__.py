"""The ledger: append-only, hash-chained record of events and claims."""
