"""Systems of federated learning: rounds of clients that keep their rows."""
