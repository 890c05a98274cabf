"""Installs packages into the environments of this checkout. `make` and `./hireflow` call it by `infra/install.sh`.

It uses only the standard library, because it runs on the system's Python before anything is installed.
"""
