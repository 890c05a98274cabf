"""Talks to Postgres (`database`), S3 (`storage`, `buckets`), SQS (`queues`), Lambda (`functions`) and Secrets Manager
(`secrets`). No other package uses the drivers of these services.

This package imports only `core`. It converts the errors of the drivers to those of `core.errors`. Start with `storage`.
"""
