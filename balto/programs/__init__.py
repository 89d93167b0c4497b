"""Random programs of a task, and their per-store features (paper 3.2)."""
