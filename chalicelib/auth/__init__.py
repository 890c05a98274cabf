"""Creates, verifies and revokes bearer tokens. Each token has a role.

The package imports `core` and `cloud`. Start with `roles`, then read `tokens`. The routes in `api` declare which role
they require.
"""
