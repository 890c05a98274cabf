"""The commands, grouped as people think of them."""
