"""Bytes to records and back: CSV, Avro, gzip, and the two forms of Postgres's COPY. All of it streams.

It imports `core` alone and opens nothing: streams are passed in. Start with `csv_reader`.
"""
