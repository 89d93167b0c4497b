"""What is known of every program: pools, the journal, Parquet in and out (paper 2.2)."""
