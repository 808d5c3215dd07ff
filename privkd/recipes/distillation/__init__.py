"""Students that learn from a teacher: low resolution, masks, relations."""
