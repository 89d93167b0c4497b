"""What hooks into TVM's own search, and that search as a rival (paper 4.3)."""
