"""Declares the kinds of columns. A kind is one class in a module of its own. The class has everything that depends
on the kind: rules, patterns, types and conversions.

Start with `kind`, which defines what a kind has. `table` lists all kinds.
"""
