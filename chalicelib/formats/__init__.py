"""Converts streams of bytes to records and back. The formats are CSV, Avro, gzip, and both formats of Postgres's COPY.

This package imports only `core`. It opens no files, because its callers pass streams. Start with `csv_reader`.
"""
