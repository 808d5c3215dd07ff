"""Can be imported, and registers nothing."""
