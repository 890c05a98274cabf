"""Hireflow's command line: what the API serves, and a few functions of the stage, for people and for scripts.

It is a package of its own, which `pipx install .` installs. It imports nothing else of this repository.
"""
