#!/bin/sh
# Has the sets of packages that are named (infra/install/sets.py) in the environments of this checkout. Where all are
# there it only looks at times, so that every command can call it.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

current() {
    [ -x .venv/bin/python ] && [ -e ".venv/asked/$1" ] && [ ! "requirements/$1.txt" -nt ".venv/asked/$1" ]
}

for name; do
    if current "$name" || { [ "$name" = postgres ] && [ -n "${HIREFLOW_PG_BIN:-}" ]; }; then continue; fi
    command -v "$python" >/dev/null || {
        echo "error: $python was not found: install Python 3.11 or newer, then say which, as in PYTHON=python3.12" >&2
        exit 1
    }
    # Nor is everything of that name one: version managers have programs that only print an error.
    [ "$("$python" -c 'import sys; print(sys.version_info >= (3, 6))' 2>/dev/null)" = True ] || {
        echo "error: $python is no Python that works here: install 3.11 or newer, then say which, as in PYTHON=python3.12" >&2
        exit 1
    }
    exec "$python" -m infra.install "$@"
done
