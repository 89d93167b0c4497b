"""From a network, a file or an operator to optimisation tasks (paper 2.2, 3.2)."""
