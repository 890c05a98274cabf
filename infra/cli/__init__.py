"""The command line, ./hireflow: what the API serves, and a few functions of the stage, for people and for scripts."""
