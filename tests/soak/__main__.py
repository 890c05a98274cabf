"""python -m tests.soak [--seconds N] [--seed N]: keep a stage at work for half an hour, as `make soak` does, and judge
whether its memory, descriptors, connections, tables, buckets and folders stay flat."""

import argparse
import sys
import time
from collections.abc import Mapping

from infra.local.commands import Commands
from infra.local.rotation import MOST
from infra.local.state import State
from infra.locks import locked
from infra.venv import ROOT
from tests.e2e.cloud import Cloud
from tests.soak.judge import HEAD, USUAL_SECONDS, Bound, Sample, Verdict, conclusion, verdicts
from tests.soak.samples import Sampler
from tests.soak.work import Work

_OWN = ROOT / ".local-soak"  # always the same folder, so that a run can delete what a killed run has left
_WAIT = 3600  # seconds to wait until another run in the same checkout ends
_SAMPLES = 60  # samples of a run
_WARMING = 0.1  # the part of a run that is not judged, because workers start and tables fill
_SETTINGS = {"HIREFLOW_AUTH": "off", "BACKUP_RETENTION_DAYS": "0.001"}  # restore points expire after 1.5 minutes
_USUAL = Bound(1.1, 1.0)
_BOUNDS: Mapping[str, Bound] = {
    "memory": Bound(1.1, 10.0),
    # The embedded AWS keeps the names and the metadata of objects in memory, but not their bodies.
    "memory of the embedded AWS": Bound(1.1, 10.0, each=0.006, of="objects in bucket"),
    "table open_rejects": Bound(1.1, 1.0, each=0.001, of="objects in bucket errored"),
    "workers": Bound(1.0, 4.0),
    "descriptors": Bound(1.1, 10.0),
    "threads": Bound(1.1, 5.0),
    "connections": Bound(1.0, 4.0),
    "staging tables": Bound(1.0, 8.0),
    "file aws.log": Bound(1.0, MOST / 1_000_000),  # the embedded AWS cuts it at this size
    "folder pg_wal": Bound(1.0, 1024.0),  # Postgres keeps up to max_wal_size, and recycles its files
    "folder postgres": Bound(grows="the tables, which are judged one by one"),
    "bucket backup": Bound(grows="the bucket keeps old versions of deleted files for 30 days"),
    "objects in bucket backup": Bound(grows="the bucket keeps old versions of deleted files for 30 days"),
    "table loads": Bound(grows="one row for each load and request"),
    "bucket landing": Bound(grows="the files that were sent"),
    "objects in bucket landing": Bound(grows="the files that were sent"),
    "bucket errored": Bound(grows="the rejects of these files"),
    "objects in bucket errored": Bound(grows="the rejects of these files"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=USUAL_SECONDS, help="length of the run; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="seed of the files; default: %(default)s")
    args = parser.parse_args()
    if args.seconds < 60:
        parser.error("a run needs at least 60 seconds: a shorter run does not show growth")
    commands = Commands("local", ROOT, State(_OWN), lambda _: None, env=_SETTINGS)
    with locked(ROOT / ".local-soak.lock", _WAIT, "another run of the soak does not end"):
        commands.clean()
        try:
            commands.up()
            work = Work(Cloud(commands, commands.read_env(), documented=False), args.seed)
            judged = _run(work, commands.state, args.seconds)
        finally:
            commands.clean()
    return _report(work, judged, args.seconds)


def _run(work: Work, state: State, seconds: int) -> list[Verdict]:
    """Keep the stage at work, and judge the samples that were taken meanwhile."""
    sampler, samples = Sampler(state), list[Sample]()
    work.fill()
    threads = work.threads()
    for thread in threads:
        thread.start()
    try:
        start = time.monotonic()
        for number in range(1, _SAMPLES + 1):
            time.sleep(max(0.0, start + number * seconds / _SAMPLES - time.monotonic()))
            samples.append(sampler.sample())
            if number % (_SAMPLES // 6) == 0:
                print(time.strftime("%H:%M:%S"), dict(work.done), dict(work.wrong), flush=True)
    finally:
        work.stop.set()
        for thread in threads:
            thread.join()
        sampler.close()
    return verdicts(samples[int(_WARMING * _SAMPLES) :], _BOUNDS, _USUAL)


def _report(work: Work, judged: list[Verdict], seconds: int) -> int:
    print(HEAD, *(verdict.line() for verdict in judged), sep="\n")
    print("work:", ", ".join(f"{name}: {number}" for name, number in sorted(work.done.items())))
    for what, number in work.wrong.items():
        print(f"WRONG {number} times: {what}")
    growing = [verdict.measure for verdict in judged if verdict.flat is False]
    print(conclusion(growing, seconds))
    return 1 if growing or work.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
