"""Tests what the recipes of CONTRIBUTING.md promise. tests/integration/test_recipes.py follows each recipe in a copy of
the checkout, and the recipe's last step runs one of these files there."""
