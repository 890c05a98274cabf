"""Measures the work of Hireflow, and the same work of a bare tool such as `psql` (`make bench`). The
tool's time or memory is the limit. One run measures both, first one and then the other, again and again."""
