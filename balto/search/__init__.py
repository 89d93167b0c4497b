"""The search for the fastest program of a task, and of a network's tasks together (paper 4.2)."""
