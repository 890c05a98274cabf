"""Who may do what: bearer tokens, each with a role.

It imports `core` and `cloud`. Start with `roles`, then `tokens`. Which role a route asks for stands on the route, in
`api`.
"""
