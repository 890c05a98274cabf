"""`make demo`: the whole platform shown once, from nothing, with nothing but what any user has."""
