"""python -m tests.year: fill a stage with what a year leaves behind, and check that it keeps its limits, as `make year`
does."""

import argparse
import sys
import time

from infra.local.commands import Commands
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.year import contents, measures

_OWN = ROOT / ".local-year"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 3600  # seconds to wait until another run in the same checkout ends


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--loads", type=int, default=1_000_000, help="loads of requests; default: %(default)s")
    parser.add_argument("--points", type=int, default=14_000, help="restore points; default: %(default)s")
    parser.add_argument("--objects", type=int, default=100_000, help="objects in landing; default: %(default)s")
    args = parser.parse_args()
    own = Commands("local", ROOT, State(_OWN), _report)
    kept = True
    with locked(ROOT / ".local-year.lock", _WAIT, "another run of this check does not end"):
        own.clean()
        try:
            own.up()
            cloud = Cloud(own, own.state.read_env(), documented=False)
            contents.fill(cloud, contents.Contents(args.loads, args.points, args.objects), _report)
            for measured in (measures.pages, measures.functions):
                for measure in measured(cloud):
                    kept = kept and measure.is_kept
                    print(measure.line(), flush=True)
        finally:
            own.clean()
    return 0 if kept else 1


def _report(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
