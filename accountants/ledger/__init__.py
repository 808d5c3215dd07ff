"""The ledger: append-only, hash-chained record of events and claims.

The way of one charge: `Ledger.charge` takes the lock of the file and what others have appended (`shared_file`), asks whether
it fits (`charging`), links its record to the chain (`chain`) and writes the file (`storage`); `book` holds the content.
"""
