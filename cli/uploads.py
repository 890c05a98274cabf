"""Sends files, then follows or cancels their loads."""

from http import HTTPStatus
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli import files, follow, interrupts, summary
from cli.declarations import Declared
from cli.disk import with_remedy
from cli.errors import CommandError, Misuse, Refused
from cli.files import Sent
from cli.follow import Load
from cli.forms import Form
from cli.text import printable
from cli.tools import Tools

NOT_SENT = "not_sent"  # the status in JSON of a file that has no load
Order = dict[str, Any]
# An older API, which cannot cancel loads, responds with one of these statuses.
_OLDER = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class Uploads:
    """Uploads files and follows their loads. `good` is True while every file has arrived and no load has failed."""

    def __init__(self, tools: Tools, declared: Declared, *, wait: bool, strict: bool, as_json: bool) -> None:
        self._tools, self._declared = tools, declared
        self._wait, self._strict, self._as_json = wait, strict, as_json
        self._orders: dict[str, Order] = {}  # by shown file names; an entry is removed when its load ends
        self.good = True

    def send(self, wave: list[Sent]) -> None:
        """Send files one after another. If a file does not arrive, the other files are still sent."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with self._tools.notes.progress(*columns, shown=self._quiet_terminal) as progress:
            for file in wave:
                name = str(file.path) if file.path.name in self._orders else file.path.name
                try:
                    self._send(name, file, progress)
                except Misuse:
                    raise
                except CommandError as error:
                    self._report_unsent(name, str(error))
                    self.good = False

    def _report_unsent(self, name: str, why: str) -> None:
        error = with_remedy(why)
        self._tools.notes.line(f"error: {name}: {error}")
        if self._as_json:  # programs get one line for every file
            self._tools.out.json_line({"file": name, "id": None, "status": NOT_SENT, "error": error})

    def _send(self, name: str, file: Sent, progress: Progress) -> None:
        with files.opened(file.path) as source:
            size = source.seek(0, 2)
            source.seek(0)
            task = progress.add_task(printable(file.path.name), total=size)
            wanted = {"dataset": file.dataset, "filename": file.path.name, "size": size, **self._declared}
            with interrupts.put_off():  # Ctrl-C must not lose the load's id, which `cancel` needs
                order = self._orders[name] = self._tools.api.post("/uploads", wanted)

            def advance(count: int) -> None:
                progress.advance(task, count)

            try:
                form = Form(order["fields"], file.path.name, source, size, advance)
                self._tools.presigned.upload(order["url"], form)
            except CommandError:
                if self._has_arrived(order):  # S3 has the file: only the response of S3 was lost
                    return
                del self._orders[name]
                raise

    def _has_arrived(self, order: Order) -> bool:
        """Cancel the load of a file whose upload failed. Return True if the API refuses because the file arrived."""
        try:
            self._tools.api.delete(f"/uploads/{order['load_id']}")
        except CommandError as error:
            return isinstance(error, Refused) and error.status == HTTPStatus.CONFLICT
        return False

    def follow(self) -> None:
        """Report each load when it ends. With --no-wait, report each load now, as queued."""
        if not self._wait:
            self._report_queued()
            return
        urls = {name: order["status_url"] for name, order in self._orders.items()}
        ended: dict[str, Load] = {}
        for name, load in follow.follow(self._tools.api, self._tools.notes, urls, shown=self._quiet_terminal):
            ended[name] = load
            del self._orders[name]
            self.good = self.good and load["status"] != "failed" and not (self._strict and summary.open_rejects(load))
            if self._as_json:
                self._tools.out.json_line({"file": name, **load})
        if not self._as_json:
            for name in urls:  # now the progress has disappeared from the terminal
                summary.ended(self._tools, name, ended[name])

    def _report_queued(self) -> None:
        for name, order in self._orders.items():
            if self._as_json:
                self._tools.out.json_line({"file": name, "id": order["load_id"], "status": "queued"})
            else:
                self._tools.out.line(f"{name}: load {order['load_id']} queued")
        self._orders.clear()

    @property
    def _quiet_terminal(self) -> bool:
        """Return False if lines of JSON go to the same terminal, because progress would be mixed with these lines."""
        return not (self._as_json and self._tools.out.live)

    def cancel(self) -> None:
        """Cancel the loads whose files have not arrived. Report the result for each load that has not ended."""
        for order in self._orders.values():
            load_id = order["load_id"]
            try:
                self._tools.api.delete(f"/uploads/{load_id}")
            except Refused as error:
                older = error.status in _OLDER and not error.detail
                why = (
                    "this API cannot cancel loads; the load fails later if its file does not arrive"
                    if older
                    else error.detail
                )
                self._tools.notes.line(f"load {load_id} is not cancelled: {why or error}")
            except CommandError as error:
                self._tools.notes.line(f"load {load_id} is not cancelled: {error}")
            else:
                self._tools.notes.line(f"load {load_id} cancelled")
