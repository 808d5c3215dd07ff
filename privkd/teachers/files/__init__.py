"""Teachers that are read from files and folders, and written to them."""
