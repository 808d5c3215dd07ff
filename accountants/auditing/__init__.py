"""Whether a claim is true: the audit of a ledger, flags of its parts, and the opinions of other libraries."""
