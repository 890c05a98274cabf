"""Has the code that all routes share. The code checks tokens, reads requests, and makes the responses for errors and
pages.

This package imports `core`, `auth` and `services`. Start with `access` and `problems`.
"""
