"""Measuring programs: live, over RPC, or replayed from a recorded pool (paper 2.1)."""
