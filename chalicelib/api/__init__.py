"""HTTP: one module of routes for each subject, thin over the other rooms. It may import all of them.

What all routes share is in `http`; their description is in `openapi`. Start with `row_routes`.
"""
