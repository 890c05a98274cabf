"""Sending files, and the loads that come of them: followed to their ends, or cancelled."""

from http import HTTPStatus
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli import files, follow, interrupts, summary
from cli.disk import with_remedy
from cli.errors import CommandError, Misuse, Refused
from cli.files import Sent
from cli.follow import Load
from cli.forms import Form
from cli.text import printable
from cli.tools import Tools

NOT_SENT = "not_sent"  # of a file without a load, in the place of a load's status
Order = dict[str, Any]
_OLDER = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)  # of an API that cannot cancel


class Uploads:
    """Uploads under way. `good` is whether every file arrived and no load failed so far."""

    def __init__(self, tools: Tools, *, wait: bool, strict: bool, as_json: bool) -> None:
        self._tools, self._wait, self._strict, self._as_json = tools, wait, strict, as_json
        self._orders: dict[str, Order] = {}  # by what to call the file, until its load has ended
        self.good = True

    def send(self, wave: list[Sent]) -> None:
        """Send files one after the other. One that does not arrive keeps no other back."""
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
                    self._tell_unsent(name, str(error))
                    self.good = False

    def _tell_unsent(self, name: str, why: str) -> None:
        error = with_remedy(why)
        self._tools.notes.line(f"error: {name}: {error}")
        if self._as_json:  # programs get a line for every file
            self._tools.out.json_line({"file": name, "id": None, "status": NOT_SENT, "error": error})

    def _send(self, name: str, file: Sent, progress: Progress) -> None:
        with files.opened(file.path) as source:
            size = source.seek(0, 2)
            source.seek(0)
            task = progress.add_task(printable(file.path.name), total=size)
            asked = {"dataset": file.dataset, "filename": file.path.name, "size": size}
            with interrupts.put_off():  # a load that is ordered must be known here, or it could not be cancelled
                order = self._orders[name] = self._tools.api.post("/uploads", asked)

            def told(count: int) -> None:
                progress.advance(task, count)

            try:
                form = Form(order["fields"], file.path.name, source, size, told)
                self._tools.presigned.upload(order["url"], form)
            except CommandError:
                if self._has_arrived(order):  # all the same: only the answer was lost
                    return
                del self._orders[name]
                raise

    def _has_arrived(self, order: Order) -> bool:
        """Cancel the load of a file that could not be sent; True if that is refused because the file is there."""
        try:
            self._tools.api.delete(f"/uploads/{order['load_id']}")
        except CommandError as error:
            return isinstance(error, Refused) and error.status == HTTPStatus.CONFLICT
        return False

    def follow(self) -> None:
        """Tell of each load, at its end if it is waited for."""
        if not self._wait:
            self._tell_queued()
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
            for name in urls:  # not before the progress has gone from the terminal
                summary.ended(self._tools, name, ended[name])

    def _tell_queued(self) -> None:
        for name, order in self._orders.items():
            if self._as_json:
                self._tools.out.json_line({"file": name, "id": order["load_id"], "status": "queued"})
            else:
                self._tools.out.line(f"{name}: load {order['load_id']} queued")
        self._orders.clear()

    @property
    def _quiet_terminal(self) -> bool:
        """Whether progress has the terminal for itself: lines of JSON would come between."""
        return not (self._as_json and self._tools.out.live)

    def cancel(self) -> None:
        """Cancel the loads that still wait for their files; say what became of every load that has not ended."""
        for order in self._orders.values():
            load_id = order["load_id"]
            try:
                self._tools.api.delete(f"/uploads/{load_id}")
            except Refused as error:
                older = error.status in _OLDER and not error.detail
                why = (
                    "this API cannot cancel; the load fails by itself unless its file comes" if older else error.detail
                )
                self._tools.notes.line(f"load {load_id} is not cancelled: {why or error}")
            except CommandError as error:
                self._tools.notes.line(f"load {load_id} is not cancelled: {error}")
            else:
                self._tools.notes.line(f"load {load_id} cancelled")
