"""Cost models (paper 2.2)."""
