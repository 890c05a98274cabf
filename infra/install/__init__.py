"""What is installed into the environments of this checkout, and how: `make` and `./hireflow` call `infra/install.sh`.

Standard library only: it runs on the system's Python, before anything is installed.
"""
