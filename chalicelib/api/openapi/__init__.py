"""The OpenAPI document, made from what the code declares: datasets, parameters, limits and errors.

It imports the routes that it describes, and the roles of `auth`. Start with `document`.
"""
