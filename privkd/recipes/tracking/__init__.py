"""Systems that follow a target through a video."""
