"""From programs to a folder that is deployed: compile, assemble, verify, load, run (paper 4.2)."""
