"""Hireflow measured against named physical limits, interleaved with them in one run (`make bench`)."""
