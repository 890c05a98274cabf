"""What the recipes of CONTRIBUTING.md promise. `test_recipes` runs these files in copies that have followed them."""
