"""The commands of `hireflow`. Each module holds the commands for one subject."""
