"""What all routes share: who is let in, how requests are read, and how errors and pages are answered.

It imports `core`, `auth` and `services`. Start with `access` and `problems`.
"""
