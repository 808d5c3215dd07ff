"""Systems that learn from noisy labels and crowds."""
