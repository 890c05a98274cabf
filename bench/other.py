"""Measures loads of a dataset that is not Hireflow's own. It has twelve columns of nearly all kinds, and a row may
leave out four of them. The measurements run in a copy of the checkout that declares this dataset, on a database of its
own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from urllib.parse import unquote, urlsplit

from bench.cases import Scale, check
from bench.data import SEED, Shape, employees
from bench.results import Result
from bench.rig import Rig
from tests.other.checkout import other_checkout

COLUMNS = (
    *("id", "user", "site_id", "at", "day", "order", "total", "paid"),
    *("approved_by", "discount", "delivered", "items"),  # a row may leave out these columns
)
MANDATORY = 8
FILES = "order.csv"
_USERS, _SITES = 1000, 50
_BROKEN = 50  # of every hundred rows, this row is broken, as in the files of `employees`
_PARENTS = f"""
    INSERT INTO regions SELECT 1, 'North', 1, NULL;
    INSERT INTO sites (id, name, region_id, opened, area)
        SELECT i, 'Site ' || i, 1, '2001-01-01', 100 FROM generate_series(1, {_SITES}) i;
    INSERT INTO "user" (id, "user", site_id, joined)
        SELECT i, 'User ' || i, 1 + i % {_SITES}, '2001-01-01' FROM generate_series(1, {_USERS}) i;
"""
_UPGRADE = "import sys; from chalicelib.migrations.migrate import upgrade; upgrade(sys.argv[1], tls='disable')"


def other(rig: Rig, scale: Scale) -> Iterator[Result]:
    files = {name: _file(scale.rows, name) for name in ("all columns", "half of them empty", "mandatory columns only")}
    kept = sum(row_id % 100 != _BROKEN for row_id in range(1, scale.rows + 1))
    ours: list[float] = []
    cells: dict[str, list[float]] = {name: [] for name in files}
    with _other(rig) as stage:
        for _ in range(scale.rounds):
            data = employees(scale.rows)
            rig.reset(Shape())
            rig.copy("limits.pk_fk", data)
            done = rig.ingest(data.file)
            check(rig, done["load"], data)
            ours.append(5 * data.rows / done["seconds"])
            for name, body in files.items():
                stage.sql('TRUNCATE "order"')
                done = stage.ingest(body, key=FILES)
                assert done["load"]["status"] == "succeeded", done["load"]
                assert (done["load"]["inserted"], done["load"]["rejected"]) == (kept, scale.rows - kept), done["load"]
                columns = MANDATORY if name == "mandatory columns only" else len(COLUMNS)
                cells[name].append(columns * scale.rows / done["seconds"])
    for name, rates in cells.items():
        yield Result(f"columns of rows, 12 columns, {name}", "5 columns of ours", rates, ours, 0.8, True, "/s")
    half, full = cells["half of them empty"], cells["all columns"]
    yield Result("columns of rows, optional ones half empty", "all filled", half, full, 0.8, True, "/s")


@contextmanager
def _other(rig: Rig) -> Iterator[Rig]:
    """Yield a rig whose worker runs the copy of the checkout."""
    url = rig.url.rpartition("/")[0] + "/other"
    rig.sql(f"CREATE DATABASE other OWNER {unquote(urlsplit(rig.url).username or '')}", rig.superuser_url)
    checkout = other_checkout(rig.folder / "other")
    subprocess.run([sys.executable, "-c", _UPGRADE, url], cwd=checkout, check=True)
    stage = Rig(replace(rig.services, database_url=url), rig.superuser_url, rig.folder, checkout)
    stage.sql(_PARENTS)
    stage.sql("VACUUM ANALYZE")
    try:
        yield stage
    finally:
        stage.close()


def _file(rows: int, filling: str) -> bytes:
    """Return a file of orders. `filling` says what stands under the columns that a row may leave out."""
    random = Random(SEED)  # noqa: S311 - the random numbers are not used for secrets
    names = COLUMNS[:MANDATORY] if filling == "mandatory columns only" else COLUMNS
    lines = [",".join(names)]
    for row_id in range(1, rows + 1):
        fields = _row(random, row_id)
        if row_id % 100 == _BROKEN:
            fields[4] = "soon"
        if filling == "half of them empty":
            fields = [*fields[:MANDATORY], "", fields[9], "", fields[11]] if row_id % 2 else fields
        lines.append(",".join(fields[: len(names)]))
    return ("\n".join(lines) + "\n").encode()


def _row(random: Random, row_id: int) -> list[str]:
    drawn = random.getrandbits(60)
    day = date(2021, 1, 1) + timedelta(days=drawn % 700)
    user, site = 1 + drawn % _USERS, 1 + (drawn >> 10) % _SITES
    total, discount = f"{drawn % 100_000}.{drawn % 97:02}", f"0.{drawn % 90 + 10}"
    paid = "true" if drawn & 1 else "false"
    optional = [str(1 + (drawn >> 20) % _USERS), discount, f"{day}T18:00:00Z", str((drawn >> 30) % 90)]
    return [str(row_id), str(user), str(site), f"{day}T08:30:00Z", str(day), str(drawn % 10**9), total, paid, *optional]
