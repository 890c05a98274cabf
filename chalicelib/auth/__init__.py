"""Authentication and authorization: bearer tokens, each with a role.

The package imports `core` and `cloud`. Start with `roles`, then `tokens`. The routes in `api` declare which role they
require.
"""
