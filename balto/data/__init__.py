"""What everybody speaks of: tasks, programs' features, outcomes, pools; nothing acts here."""
