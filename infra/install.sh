#!/bin/sh
# Installs the named sets of packages (infra/install/sets.py) into the environments of this checkout. If all sets are
# installed, this script only compares file times, which is so fast that every command can call it.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

current() {
    [ -x .venv/bin/python ] && [ -e ".venv/asked/$1" ] && [ ! "requirements/$1.txt" -nt ".venv/asked/$1" ]
}

for name; do
    if current "$name" || { [ "$name" = postgres ] && [ -n "${HIREFLOW_PG_BIN:-}" ]; }; then continue; fi
    command -v "$python" >/dev/null || {
        echo "error: $python was not found: install Python 3.11 or newer, then name it, as in PYTHON=python3.12" >&2
        exit 1
    }
    # The program may not be a Python: version managers install programs named python3 that only print an error.
    [ "$("$python" -c 'import sys; print(sys.version_info >= (3, 6))' 2>/dev/null)" = True ] || {
        echo "error: $python is not a working Python: install 3.11 or newer, then name it, as in PYTHON=python3.12" >&2
        exit 1
    }
    exec "$python" -m infra.install "$@"
done
