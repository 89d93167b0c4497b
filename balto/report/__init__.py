"""Figures, tables and one self-contained HTML page (paper Figures 1, 5, 8)."""
