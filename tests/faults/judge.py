"""Checks everything that must be true when all loads have ended. A check yields a sentence for each violation.

The loads of a dataset are merged one after another. Each load sets `finished_at` while it holds the lock of the
dataset. So the order of `finished_at` is the order of the merges. The judge writes the rows that were sent into a table
of its own, in this order. The result is the only correct table, with two exceptions:

- A request whose response was lost may have stored all of its rows or none.
- A row that was sent before its parents must be in the table if its parents have come.
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
from tests.faults.resolved import Brought
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
    """Checks the state of a stage at one time. It reads each part of the state only once, so make a new judge to check
    a later state.

    `dead_letters` are the failure records in the dead-letter queue at this time.
    """

    stage: Stage
    book: Book
    dead_letters: list[str]
    rejects_seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.stage)

    def violations(self) -> list[str]:
        """Run all checks. Return the violations. Each one begins with the name of its check."""
        checks: tuple[Callable[[], Violations], ...] = (
            self.responses,
            self.every_file_has_its_load,
            self.every_load_was_sent,
            self.loads_end,
            self.loads_end_once,
            self.restores,
            self.versions_load_in_order,
            self.reject_files,
            self.resolved_rejects,
            self.tables,
            self.waiting_rows,
            self.foreign_keys,
            self.summary,
            self.objects,
            self.failure_records,
        )
        return [f"{check.__name__.replace('_', ' ')}: {violation}" for check in checks for violation in check()]

    # --- the state of the stage

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
        """Return the records of all reject files, by the key of the reject file."""
        s3, bucket = self.stage.cloud.s3, self.stage.cloud.env["ERRORED_BUCKET"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        bodies = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        return {key: [json.loads(line) for line in body.splitlines()] for key, body in bodies.items()}

    def succeeded(self) -> Iterator[tuple[File, Row]]:
        """Yield the files whose loads succeeded, each with its load."""
        for at, file in self.book.files.items():
            load = self.load_of.get(at)
            if load is not None and load["status"] == "succeeded":
                yield file, load

    @cached_property
    def acknowledged(self) -> dict[int, Request]:
        """Return the requests whose responses have arrived, by load id."""
        return {request.load_id: request for request in self.book.requests if request.load_id is not None}

    @property
    def lost(self) -> list[Request]:
        """Return the requests whose responses were lost."""
        return [request for request in self.book.requests if request.load_id is None]

    # --- the checks

    def responses(self) -> Violations:
        yield from self.book.unexpected

    def every_file_has_its_load(self) -> Violations:
        """Check that every file has a load. If no attempt could reach the database, the file has a failure record
        instead."""
        for source, version in self.book.files.keys() - self.load_of.keys():
            if not self._is_recorded(version):
                yield f"{source} {version} has neither a load nor a failure record"

    def every_load_was_sent(self) -> Violations:
        for load in self.loads.values():
            if load["kind"] == "csv" and (load["source"], load["version"]) not in self.book.files:
                yield f"load {load['id']} belongs to a file that no writer has sent"
        unknown = [i for i, load in self.loads.items() if load["kind"] == "api" and i not in self.acknowledged]
        if len(unknown) > len(self.lost):
            yield f"{len(unknown)} API loads were named in no response, but only {len(self.lost)} responses were lost"
        restores = {load_id for load_id, load in self.loads.items() if load["kind"] == "restore"}
        if (count := len(restores - self.book.restores)) > self.book.lost_restores:
            yield f"{count} restores were named in no response, but only {self.book.lost_restores} responses were lost"
        for load_id in (self.acknowledged.keys() | self.book.restores) - self.loads.keys():
            yield f"load {load_id} was named in a response, but does not exist"

    def loads_end(self) -> Violations:
        """Check that each load has ended, and that its counts add up. The count `received` is the number of rows that
        were sent."""
        for load in self.loads.values():
            if fault := self._ending(load):
                yield f"load {load['id']} {fault}: {load}"
        for file, load in self.succeeded():
            if load["received"] != len(file.lines):
                yield f"load {load['id']} received {load['received']} of {len(file.lines)} rows"
        for load_id, request in self.acknowledged.items():
            if load_id in self.loads and self.loads[load_id]["received"] != len(request.rows):
                yield f"load {load_id} received {self.loads[load_id]['received']} of {len(request.rows)} rows"

    def _ending(self, load: Row) -> str | None:
        """Return what is wrong with the status and the counts of a load, or None."""
        status, counts = load["status"], [load[name] for name in COUNTS]
        if status not in ("succeeded", "failed", "skipped"):
            return "has not ended"
        if self._is_refused(load):
            only_rejects = counts[0] == counts[-1] and not any(counts[1:-1])
            return None if only_rejects and load["errored_key"] else "must count only rejects, and keep them"
        if status != "succeeded" and (any(counts) or not load["error"] or load["errored_key"]):
            return "must have an error, no counts and no reject file"
        if counts[0] != sum(counts[1:]):
            return "has counts that do not add up"
        if self.was_accepted(load) and status == "failed" and not load["error"].startswith("gave up"):
            return "failed for another reason than too many attempts"
        return None

    def _is_refused(self, load: Row) -> bool:
        """Return whether a load failed because its file has no row that can be loaded."""
        file = self.book.files.get((load["source"], load["version"]))
        has_no_row = file is not None and all(line.row is None for line in file.lines)
        return has_no_row and load["status"] == "failed" and str(load["error"]).startswith("no row could be loaded")

    def was_accepted(self, load: Row) -> bool:
        """Return whether the sender of a load has received an acknowledgement. A restore whose response was lost may be
        announced without an object in S3. Such a load was not accepted."""
        return load["kind"] != "restore" or load["version"] is not None or load["id"] in self.book.restores

    def loads_end_once(self) -> Violations:
        """Check that a load has not run again if it had succeeded or was skipped at an earlier check."""
        for load_id, how in self.book.finished.items():
            load = self.loads.get(load_id)
            if load is None or (load["status"], load["finished_at"]) != how:
                yield f"load {load_id} had ended as {how} and is now {load}"

    def restored(self) -> Iterator[tuple[Row, list[Stored]]]:
        """Yield the restores that succeeded, each with the rows of its restore point."""
        for load in self.loads.values():
            if load["kind"] == "restore" and load["status"] == "succeeded":
                yield load, self.points.rows(load["restore_point"], load["dataset"])

    def restores(self) -> Violations:
        """Check that each restore has accepted all rows of its restore point. No row may be rejected, because the fault
        test never deletes parents."""
        for load, rows in self.restored():
            if (load["received"], load["rejected"]) != (len(rows), 0):
                yield f"restore {load['id']} received {load['received']} of {len(rows)} rows: {load}"

    def versions_load_in_order(self) -> Violations:
        """Check that no older version of a key was loaded after a newer version. Also check that a version was skipped
        only if a newer version was loaded before it."""
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
                    yield f"load {load['id']} of {source} was skipped, but no newer version was loaded"

    def reject_files(self) -> Violations:
        """Check that the reject file of a load has every rejected row of the load exactly once. Also check that every
        reject file belongs to a load."""
        keys = {load["errored_key"]: load for load in self.loads.values() if load["errored_key"]}
        for key in self.reject_lines.keys() - keys.keys():
            load = self.loads.get(int(re.findall(r"-(\d+)\.ndjson$", key)[0]))
            yield f"{key} belongs to a load that {'is ' + load['status'] if load else 'does not exist'}"
        for key, load in keys.items():
            lines = self.reject_lines.get(key, [])
            self.rejects_seen += len(lines)
            if len(lines) != load["rejected"] or any(line["load_id"] != load["id"] for line in lines):
                yield f"{key} has {len(lines)} rows, but load {load['id']} rejected {load['rejected']}"
        for load in self.loads.values():
            if load["rejected"] and not load["errored_key"]:
                yield f"load {load['id']} rejected rows, but has no reject file"
        for file, load in self.succeeded():
            yield from self._file_rejects(file, load)
        for load_id, request in self.acknowledged.items():
            lines = self.reject_lines.get(self.loads.get(load_id, {}).get("errored_key") or "", [])
            rejected = [line["index"] for line in lines]
            invalid = [index for index, row in enumerate(request.rows) if row is None]
            if rejected != invalid:
                yield f"load {load_id} rejected the rows {rejected} instead of {invalid}"

    def _file_rejects(self, file: File, load: Row) -> Violations:
        rejected = Counter((line["line"], line["raw"]) for line in self.reject_lines.get(load["errored_key"] or "", []))
        numbered = list(enumerate(file.lines, 1))
        must = Counter((n, line.raw) for n, line in numbered if line.row is None or line.parents is Parents.NEVER)
        may = Counter((n, line.raw) for n, line in numbered if line.parents is Parents.LATE)
        missing, surplus = must - rejected, rejected - must - may
        if missing or surplus:
            yield f"load {load['id']} of {file.source} rejected {surplus}, but did not reject {missing}"

    def resolved_rejects(self) -> Violations:
        """Check how many rejects of each load count as resolved."""
        brought = self._brought()
        came = {self.load_of[file.source, file.version]["id"]: self._came(file) for file, _ in self.succeeded()}
        for load in self.loads.values():
            rejects = self.reject_lines.get(load["errored_key"] or "", [])
            least, most = brought[load["dataset"]].bounds(load, rejects, came.get(load["id"], set()))
            if not least <= load["resolved"] <= most:
                yield f"load {load['id']} counts {load['resolved']} rejects as resolved, not {least} to {most}"

    def _brought(self) -> dict[str, Brought]:
        """Return what the loads of each dataset have brought."""
        brought = {name: Brought() for name in DATASETS}
        for file, load in self.succeeded():
            brought[file.dataset].add(load["finished_at"], [line.accepted for line in file.lines])
            brought[file.dataset].perhaps |= self._came(file)
        for load_id, request in self.acknowledged.items():
            if load_id in self.loads:
                brought[request.dataset].add(self.loads[load_id]["finished_at"], request.accepted)
        for request in self.lost:
            brought[request.dataset].perhaps |= {row[0] for row in request.accepted}
        for load, rows in self.restored():
            brought[load["dataset"]].add(load["finished_at"], rows)
        return brought

    def _came(self, file: File) -> set[int]:
        """Return the ids of the rows that were sent before their departments, which exist now."""
        return {line.row[0] for line in file.lines if line.row is not None and self._has_come(line)}

    def _has_come(self, line: Line) -> bool:
        """Return whether a row was sent before its department, and the department exists now."""
        return line.parents is Parents.LATE and line.row is not None and line.row[3] in self.present["departments"]

    def tables(self) -> Violations:
        for name in DATASETS:
            yield from self._table(name, self._replayed(name))

    def _replayed(self, name: str) -> dict[int, Stored]:
        """Return the rows that a table must have, by id. The rows of requests whose responses were lost are not
        included."""
        written: list[tuple[Any, list[Stored]]] = []
        for file, load in self.succeeded():
            if file.dataset == name:
                rows = [line.accepted for line in file.lines]
                written.append((load["finished_at"], [row for row in rows if row is not None]))
        for load_id, request in self.acknowledged.items():
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
                row_ids = [row_id for row_id, row in present.items() if row[1] in texts]
                if len(row_ids) > 1:
                    yield f"{name}: one request made several rows: {row_ids}"
                for row_id in row_ids:
                    expected[row_id] = (row_id, *request.rows[0][1:])  # type: ignore[index]
            elif sent and all(present.get(row_id) == row for row_id, row in sent.items()):
                expected |= sent
        for row_id in sorted(expected.keys() | present.keys()):
            if expected.get(row_id) != present.get(row_id):
                yield f"{name}: the row {row_id} is {present.get(row_id)}, but should be {expected.get(row_id)}"

    def waiting_rows(self) -> Violations:
        """Check that no row still waits although its parents exist."""
        for row in self.sql('SELECT id, "row" FROM orphans'):
            sent = row["row"] if isinstance(row["row"], dict) else json.loads(row["row"])
            department, job = sent["department_id"], sent["job_id"]
            if department in self.present["departments"] and job in self.present["jobs"]:
                yield f"{sent} still waits, but its parents exist"

    def foreign_keys(self) -> Violations:
        for row in self.present["hired_employees"].values():
            if row[3] not in self.present["departments"] or row[4] not in self.present["jobs"]:
                yield f"employee {row} refers to a department or job that does not exist"

    def summary(self) -> Violations:
        columns = "year, department_id, job_id, q1, q2, q3, q4"
        kept = {tuple(row.values()) for row in self.sql(f"SELECT {columns} FROM quarterly_hires")}
        kept = {row for row in kept if any(row[3:])}
        counted = set(self.stage.cloud.sql(_SUMMARY))
        for row in kept ^ counted:
            yield f"{row} is only {'in quarterly_hires' if row in kept else 'in a count of hired_employees'}"

    def objects(self) -> Violations:
        """Check that an object whose load failed is unchanged, so that its event can be delivered again."""
        bucket = self.stage.cloud.env["LANDING_BUCKET"]
        for at, file in self.book.files.items():
            if self.load_of.get(at, {}).get("status") == "failed":
                got = self.stage.cloud.s3.get_object(Bucket=bucket, Key=file.key, VersionId=file.version)
                if got["Body"].read() != file.body:
                    yield f"{file.source} was changed"

    def failure_records(self) -> Violations:
        """Check that each load that was given up has a failure record, so that an operator can redrive it."""
        for (source, version), load in self.load_of.items():
            if load["status"] == "failed" and not self._is_refused(load) and not self._is_recorded(version):
                yield f"load {load['id']} of {source} {version} has no failure record"

    def _is_recorded(self, version: str) -> bool:
        return any(version in letter for letter in self.dead_letters)
