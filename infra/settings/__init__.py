"""The settings of a stage: what is declared, what was chosen, and what is kept for the next `make up`."""
