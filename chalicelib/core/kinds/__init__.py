"""Declares the kinds of columns. Each kind is one class in one module, and has everything that depends on the kind:
rules, patterns, types and conversions.

Start with `kind`, which says what a kind has. `table` lists all kinds.
"""
