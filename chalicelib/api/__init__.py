"""Declares the routes of the HTTP API, in one module for each subject. The views of the routes only read requests, call
other packages, and make responses.

This package may import all others. `http` has the code that all routes share. `openapi` describes the routes. Start
with `row_routes`.
"""
