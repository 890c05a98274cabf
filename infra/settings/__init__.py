"""The settings of a stage: their declarations, their chosen values, and the values kept for the next `make up`."""
