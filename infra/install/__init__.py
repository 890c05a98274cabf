"""Installs packages into the environments of this checkout. `make` and `./hireflow` run it through `infra/install.sh`.

It imports only the standard library, because it runs on the system's Python before anything is installed.
"""
