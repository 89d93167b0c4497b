"""Pre-train a tensor-program cost model for your own hardware, from few measurements."""
