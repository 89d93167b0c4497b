"""Selectors: Algorithm 1, Algorithm 2, the D_KL switch, and baselines (paper 2.3, 3.3)."""
