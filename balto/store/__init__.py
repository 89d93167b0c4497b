"""A store of tuned programs: what one tuning measured, the next one need not measure again."""
