"""An append-only file of records that survives kill -9, as campaigns and tunings keep it."""
