"""The folder of a run: what is kept, for whom, and whether a later run may go on with it."""
