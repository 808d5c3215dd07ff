"""What follows from events: calibration, privacy profile, trade-off function and the ceiling of a teacher."""
