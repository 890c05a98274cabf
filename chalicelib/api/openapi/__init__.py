"""The OpenAPI document, made from what the code declares: datasets, parameters, limits and errors.

It imports the routes and the reports that it describes, and the roles of `auth`. Start with `document`; `operations`
lists what it tells of, and `components` the schemas of what is sent and answered.
"""
