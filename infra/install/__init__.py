"""Installs packages into the environments of this checkout. `make` and `./hireflow` call it with `infra/install.sh`.

The package imports only the standard library, because it runs on the system's Python before anything is installed.
"""
