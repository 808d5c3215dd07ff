"""Where a run computes: one process or several, and on which devices."""
