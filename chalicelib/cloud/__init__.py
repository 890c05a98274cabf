"""The only drivers: Postgres (`database`), S3 (`storage`, `buckets`), SQS, Lambda, Secrets Manager.

It imports `core` alone, and turns the errors of drivers into those of `core.errors`. Start with `storage`.
"""
