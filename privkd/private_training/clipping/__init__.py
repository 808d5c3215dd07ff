"""Sums of clipped gradients, record by record exact: no noise, no ledger, nothing that may be released as it is."""
