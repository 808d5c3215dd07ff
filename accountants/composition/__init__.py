"""Which method answers: epsilon and delta of any event by the tightest accountant that applies."""
