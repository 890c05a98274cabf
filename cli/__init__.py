"""Hireflow's command line, for people and for scripts. It calls the API and a few Lambda functions of the stage.

`pipx install .` installs this package alone, so its modules import no other package of this repository.
"""
