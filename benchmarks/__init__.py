"""Scripts that print the numbers we claim: one speed claim each."""
