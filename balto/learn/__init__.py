"""The active-learning loop over all tasks, and its metrics (paper 3, 4.1)."""
