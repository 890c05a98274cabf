"""The HTTP API: one module of routes for each subject. The routes are thin and call the other packages.

This package may import all others. `http` has the code that all routes share, `openapi` describes them. Start with
`row_routes`.
"""
