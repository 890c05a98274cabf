"""The OpenAPI document, made from the declarations in the code: datasets, parameters, limits and errors.

This package imports the routes and the reports that it describes, and the roles of `auth`. Start with `document`.
`operations` lists the operations, `components` the schemas of requests and responses.
"""
