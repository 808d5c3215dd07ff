"""What is claimed about a release, for whom, and why it follows from the ledger."""
