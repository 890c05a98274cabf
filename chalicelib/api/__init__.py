"""HTTP: Chalice blueprints, thin over the rest of the package."""
