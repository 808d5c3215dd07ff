"""Systems that no paper claims, for comparison."""
