"""The only package that uses drivers: Postgres (`database`), S3 (`storage`, `buckets`), SQS, Lambda, Secrets Manager.

This package imports `core` alone. It converts the errors of the drivers to those of `core.errors`. Start with
`storage`.
"""
