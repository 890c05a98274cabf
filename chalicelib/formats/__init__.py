"""The conversion of bytes to records and back, as streams: CSV, Avro, gzip, and both formats of Postgres's COPY.

This package imports `core` alone. It opens no files: its callers pass streams in. Start with `csv_reader`.
"""
