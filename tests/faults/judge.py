"""What must be true once everything has come to rest. Each check yields a sentence per violation.

The loads of a dataset serialise, and `finished_at` is taken under the lock they serialise on: replaying
what was sent in that order gives the only table there may be. Two things are not in it: a request
whose answer was lost is in or out, but wholly; a row that came before its parents is in if they came.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from chalicelib.core.datasets import DATASETS
from infra.local.provision import connect
from tests.e2e.cloud import COUNTS
from tests.faults.model import Book, File, Line, Parents, Request, Stored
from tests.faults.points import Points
from tests.faults.stage import Stage

Row = dict[str, Any]
Violations = Iterator[str]
_SUMMARY = """
    SELECT CAST(extract(year FROM at) AS integer), department_id, job_id,
        count(*) FILTER (WHERE extract(quarter FROM at) = 1), count(*) FILTER (WHERE extract(quarter FROM at) = 2),
        count(*) FILTER (WHERE extract(quarter FROM at) = 3), count(*) FILTER (WHERE extract(quarter FROM at) = 4)
    FROM (SELECT datetime AT TIME ZONE 'UTC' AS at, department_id, job_id FROM hired_employees) e
    GROUP BY 1, 2, 3
"""


@dataclass
class Judge:
    """Looks once: make a new one for another look. `dead_letters` are the failure records of that time."""

    stage: Stage
    book: Book
    dead_letters: list[str]
    rejects_seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.stage)

    def violations(self) -> list[str]:
        checks: tuple[Callable[[], Violations], ...] = (
            self.responses,
            self.every_file_has_its_load,
            self.every_load_was_sent,
            self.loads_end,
            self.loads_end_once,
            self.restores,
            self.versions_come_in_order,
            self.reject_files,
            self.tables,
            self.waiting_rows,
            self.foreign_keys,
            self.summary,
            self.objects,
            self.failure_records,
        )
        return [f"{check.__name__.replace('_', ' ')}: {found}" for check in checks for found in check()]

    # --- what there is

    def sql(self, statement: str) -> list[Row]:
        with closing(connect(self.stage.database_url)) as connection:
            rows = connection.run(statement) or []
            return [
                dict(zip([column["name"] for column in connection.columns or ()], row, strict=True)) for row in rows
            ]

    @cached_property
    def loads(self) -> dict[int, Row]:
        return {load["id"]: load for load in self.sql("SELECT * FROM loads ORDER BY id")}

    @cached_property
    def load_of(self) -> dict[tuple[str, str], Row]:
        return {(load["source"], load["version"]): load for load in self.loads.values() if load["version"]}

    @cached_property
    def present(self) -> dict[str, dict[int, Stored]]:
        return {name: {row[0]: row for row in self.stage.cloud.table(name)} for name in DATASETS}

    @cached_property
    def reject_lines(self) -> dict[str, list[Row]]:
        """All reject files by key."""
        s3, bucket = self.stage.cloud.s3, self.stage.cloud.env["ERRORED_BUCKET"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        bodies = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        return {key: [json.loads(line) for line in body.splitlines()] for key, body in bodies.items()}

    def succeeded(self) -> Iterator[tuple[File, Row]]:
        """Files whose load succeeded, with the load."""
        for at, file in self.book.files.items():
            load = self.load_of.get(at)
            if load is not None and load["status"] == "succeeded":
                yield file, load

    @cached_property
    def answered(self) -> dict[int, Request]:
        return {request.load_id: request for request in self.book.requests if request.load_id is not None}

    @property
    def lost(self) -> list[Request]:
        return [request for request in self.book.requests if request.load_id is None]

    # --- what must be

    def responses(self) -> Violations:
        yield from self.book.unexpected

    def every_file_has_its_load(self) -> Violations:
        """Or its failure record, where not one attempt could reach the database."""
        for source, version in self.book.files.keys() - self.load_of.keys():
            if not self._is_recorded(version):
                yield f"{source} {version} has none"

    def every_load_was_sent(self) -> Violations:
        for load in self.loads.values():
            if load["kind"] == "csv" and (load["source"], load["version"]) not in self.book.files:
                yield f"nobody sent what load {load['id']} is of"
        strangers = [i for i, load in self.loads.items() if load["kind"] == "api" and i not in self.answered]
        if len(strangers) > len(self.lost):
            yield f"{len(strangers)} API loads for {len(self.lost)} lost answers"
        restores = {load_id for load_id, load in self.loads.items() if load["kind"] == "restore"}
        if len(restores - self.book.restores) > self.book.lost_restores:
            yield f"{len(restores - self.book.restores)} restores for {self.book.lost_restores} lost answers"
        for load_id in (self.answered.keys() | self.book.restores) - self.loads.keys():
            yield f"load {load_id} was answered and is not there"

    def loads_end(self) -> Violations:
        """Each load is over; its counts add up and are those of what was sent."""
        for load in self.loads.values():
            counts = [load[name] for name in COUNTS]
            if load["status"] not in ("succeeded", "failed", "skipped"):
                yield f"load {load['id']} is {load['status']}"
            elif load["status"] != "succeeded" and (any(counts) or not load["error"] or load["errored_key"]):
                yield f"{load['status']} load {load['id']} has counts, or a reject file, or no error: {load}"
            elif counts[0] != sum(counts[1:]):
                yield f"the counts of load {load['id']} do not add up: {counts}"
            if self.was_accepted(load) and load["status"] == "failed" and not load["error"].startswith("gave up"):
                yield f"load {load['id']} failed for good: {load['error']}"
        for file, load in self.succeeded():
            if load["received"] != len(file.lines):
                yield f"load {load['id']} received {load['received']} of {len(file.lines)} rows"
        for load_id, request in self.answered.items():
            if load_id in self.loads and self.loads[load_id]["received"] != len(request.rows):
                yield f"load {load_id} received {self.loads[load_id]['received']} of {len(request.rows)} rows"

    def was_accepted(self, load: Row) -> bool:
        """Whether the load was acknowledged. If the answer to an ordered restore is lost, its object may never come."""
        return load["kind"] != "restore" or load["version"] is not None or load["id"] in self.book.restores

    def loads_end_once(self) -> Violations:
        """A load that was seen as succeeded or skipped has not been done again."""
        for load_id, how in self.book.finished.items():
            load = self.loads.get(load_id)
            if load is None or (load["status"], load["finished_at"]) != how:
                yield f"load {load_id} had ended as {how} and is {load}"

    def restored(self) -> Iterator[tuple[Row, list[Stored]]]:
        """Restores that succeeded, with the rows of their restore points."""
        for load in self.loads.values():
            if load["kind"] == "restore" and load["status"] == "succeeded":
                yield load, self.points.rows(load["restore_point"], load["dataset"])

    def restores(self) -> Violations:
        """Each restore takes all rows of its restore point, because parents are never deleted here."""
        for load, rows in self.restored():
            if (load["received"], load["rejected"]) != (len(rows), 0):
                yield f"restore {load['id']} received {load['received']} of {len(rows)} rows: {load}"

    def versions_come_in_order(self) -> Violations:
        """An older version never loads after a newer one, and is skipped for no other reason."""
        of_key: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        for at, file in self.book.files.items():
            if at in self.load_of:
                of_key[file.source].append((file.order, self.load_of[at]))
        for source, versions in of_key.items():
            done = sorted((load["finished_at"], order) for order, load in versions if load["status"] == "succeeded")
            orders = [order for _, order in done]
            if orders != sorted(orders):
                yield f"the versions of {source} loaded in the order {orders}"
            for order, load in versions:
                if load["status"] == "skipped" and order > max(orders, default=0):
                    yield f"load {load['id']} of {source} was skipped for nothing"

    def reject_files(self) -> Violations:
        """Every rejected row of a load is in its one file, once; no file is left over."""
        keys = {load["errored_key"]: load for load in self.loads.values() if load["errored_key"]}
        for key in self.reject_lines.keys() - keys.keys():
            load = self.loads.get(int(re.findall(r"-(\d+)\.ndjson$", key)[0]))
            yield f"{key} is left over from a load that {'is ' + load['status'] if load else 'does not exist'}"
        for key, load in keys.items():
            lines = self.reject_lines.get(key, [])
            self.rejects_seen += len(lines)
            if len(lines) != load["rejected"] or any(line["load_id"] != load["id"] for line in lines):
                yield f"{key} holds {len(lines)} rows of the {load['rejected']} that load {load['id']} rejected"
        for load in self.loads.values():
            if load["rejected"] and not load["errored_key"]:
                yield f"load {load['id']} rejected rows without reporting them"
        for file, load in self.succeeded():
            yield from self._file_rejects(file, load)
        for load_id, request in self.answered.items():
            lines = self.reject_lines.get(self.loads.get(load_id, {}).get("errored_key") or "", [])
            found = [line["index"] for line in lines]
            if found != [index for index, row in enumerate(request.rows) if row is None]:
                yield f"load {load_id} reports the rows {found}"

    def _file_rejects(self, file: File, load: Row) -> Violations:
        found = Counter((line["line"], line["raw"]) for line in self.reject_lines.get(load["errored_key"] or "", []))
        numbered = list(enumerate(file.lines, 1))
        must = Counter((n, line.raw) for n, line in numbered if line.row is None or line.parents is Parents.NEVER)
        may = Counter((n, line.raw) for n, line in numbered if line.parents is Parents.LATE)
        if must - found or (found - must) - may:
            yield f"load {load['id']} of {file.source} reports {found - must - may} and not {must - found}"
        late = (found - must).total()
        if load["resolved"] != sum(1 for n, line in numbered if (n, line.raw) in found and self._has_come(line)):
            yield f"load {load['id']} has {load['resolved']} of {late} late rows resolved"

    def _has_come(self, line: Line) -> bool:
        """Whether a late row's department is there."""
        return line.parents is Parents.LATE and line.row is not None and line.row[3] in self.present["departments"]

    def tables(self) -> Violations:
        for name in DATASETS:
            yield from self._table(name, self._replayed(name))

    def _replayed(self, name: str) -> dict[int, Stored]:
        written: list[tuple[Any, list[Stored]]] = []
        for file, load in self.succeeded():
            if file.dataset == name:
                rows = [line.accepted for line in file.lines]
                written.append((load["finished_at"], [row for row in rows if row is not None]))
        for load_id, request in self.answered.items():
            if request.dataset == name and load_id in self.loads:
                written.append((self.loads[load_id]["finished_at"], request.accepted))
        written += [(load["finished_at"], rows) for load, rows in self.restored() if load["dataset"] == name]
        table = {row[0]: row for _, rows in sorted(written, key=lambda item: item[0]) for row in rows}
        late = [line for file, _ in self.succeeded() for line in file.lines if self._has_come(line)]
        return table | {line.row[0]: line.row for line in late if line.row and name == "hired_employees"}

    def _table(self, name: str, expected: dict[int, Stored]) -> Violations:
        present = dict(self.present[name])
        for request in self.lost:
            if request.dataset != name:
                continue
            sent = {row[0]: row for row in request.accepted if row is not None}
            if request.without_id:
                texts = {row[1] for row in request.rows if row is not None}
                found = [row_id for row_id, row in present.items() if row[1] in texts]
                if len(found) > 1:
                    yield f"{name} {found} come from one request"
                for row_id in found:
                    expected[row_id] = (row_id, *request.rows[0][1:])  # type: ignore[index]
            elif sent and all(present.get(row_id) == row for row_id, row in sent.items()):
                expected |= sent
        for row_id in sorted(expected.keys() | present.keys()):
            if expected.get(row_id) != present.get(row_id):
                yield f"{name} {row_id} is {present.get(row_id)} and should be {expected.get(row_id)}"

    def waiting_rows(self) -> Violations:
        """No row waits for parents that are there."""
        for row in self.sql('SELECT id, "row" FROM orphans'):
            sent = row["row"] if isinstance(row["row"], dict) else json.loads(row["row"])
            department, job = sent["department_id"], sent["job_id"]
            if department in self.present["departments"] and job in self.present["jobs"]:
                yield f"{sent} has its parents and still waits"

    def foreign_keys(self) -> Violations:
        for row in self.present["hired_employees"].values():
            if row[3] not in self.present["departments"] or row[4] not in self.present["jobs"]:
                yield f"employee {row} has lost a parent"

    def summary(self) -> Violations:
        columns = "year, department_id, job_id, q1, q2, q3, q4"
        kept = {tuple(row.values()) for row in self.sql(f"SELECT {columns} FROM quarterly_hires")}
        kept = {row for row in kept if any(row[3:])}
        counted = set(self.stage.cloud.sql(_SUMMARY))
        for row in kept ^ counted:
            yield f"{row} is only {'kept' if row in kept else 'counted'}"

    def objects(self) -> Violations:
        """What could not be loaded is untouched: it can be delivered again."""
        bucket = self.stage.cloud.env["LANDING_BUCKET"]
        for at, file in self.book.files.items():
            if self.load_of.get(at, {}).get("status") == "failed":
                got = self.stage.cloud.s3.get_object(Bucket=bucket, Key=file.key, VersionId=file.version)
                if got["Body"].read() != file.body:
                    yield f"{file.source} was altered"

    def failure_records(self) -> Violations:
        """Each load that was given up is named by a failure record: an operator can redrive it."""
        for (source, version), load in self.load_of.items():
            if load["status"] == "failed" and not self._is_recorded(version):
                yield f"load {load['id']} of {source} {version} is in none"

    def _is_recorded(self, version: str) -> bool:
        return any(version in letter for letter in self.dead_letters)
