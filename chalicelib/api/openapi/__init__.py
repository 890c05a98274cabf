"""Makes the OpenAPI document from the declarations in the code: datasets, parameters, limits and errors.

This package imports the routes and the reports that the document describes, and the roles of `auth`. Start with
`document`. `operations` lists the operations, and `components` lists the schemas of requests and responses.
"""
