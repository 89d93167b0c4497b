"""Worker processes, and how TVM is loaded in them."""
