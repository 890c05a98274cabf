"""Tests the output of the command line, on terminals of any width and without a terminal."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.commands.stage import _TOKEN_COLUMNS, _token_row
from cli.output import Output
from cli.tables import Moment
from cli.text import printable

COLUMNS = ("load", "status", "source")
ROWS = [(7, "succeeded", "s3://landing/uploads/7/departments_of_the_north.csv"), (12345, "failed", None)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(rows: list[tuple[int | str | None, ...]], width: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal() if width is not None else io.StringIO()
    Output(stream, for_people=True).table(COLUMNS, rows, ["source"])
    return [line.rstrip() for line in _without_styles(stream.getvalue()).splitlines()]


def _without_styles(text: str) -> str:
    return text.replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_a_table_that_fits_is_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed([*ROWS], None, monkeypatch) == [
        " load  status     source",
        "    7  succeeded  s3://landing/uploads/7/departments_of_the_north.csv",
        "12345  failed",
    ]


def test_on_a_narrow_terminal_the_flexible_column_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed([*ROWS], 44, monkeypatch) == [
        " load  status     source",
        "    7  succeeded  s3://landing/uploads/7/dep",
        "                  artments_of_the_north.csv",
        "12345  failed",
    ]


def test_on_a_very_narrow_terminal_every_value_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed([*ROWS], 20, monkeypatch)
    assert lines[:2] == ["load    7", "status  succeeded"]
    assert lines[-4:] == ["", "load    12345", "status  failed", "source"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(n, "succeeded", "日本語" * n) for n in range(1, 30)]
    assert max(map(cell_len, printed([*rows], width, monkeypatch))) <= width


def test_text_cannot_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        out = Output(stream)
        out.line("\x1b[2J[bold]:smile:\r", "red")
        out.facts({"\x9b": "\x07"})
        with out.progress("x") as progress:
            progress.add_task("y", total=1)
    assert plain.getvalue() == "\\x1b[2J[bold]:smile:\\r\n\\x9b\t\\x07\n"
    assert "\\x1b[2J[bold]:smile:\\r" in terminal.getvalue()


def test_programs_get_values_separated_by_tabs_and_escaped_tabs_in_them() -> None:
    stream = io.StringIO()
    out = Output(stream)
    out.table(("id", "name", "at"), [(7, "a\tb\nc", Moment("2021-07-27T16:02:08Z")), (8, None, None)])
    out.facts({"status": "ok", "rows": 3})
    assert stream.getvalue() == "id\tname\tat\n7\ta\\tb\\nc\t2021-07-27T16:02:08Z\n8\t\t\nstatus\tok\nrows\t3\n"


def test_the_table_of_tokens_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    at = "2021-07-27T16:02:08Z"
    note = "of the people who plan hiring, and of nobody else"
    entry = {"id": "0123456789abcdef", "role": "operator", "rows": True, "note": note}
    entry |= {"created_at": at, "revoked_at": at}
    stream = Terminal()
    Output(stream).table(_TOKEN_COLUMNS, [_token_row(entry)], ["note"])
    lines = _without_styles(stream.getvalue()).splitlines()
    assert lines[1].startswith("0123456789abcdef  operator  yes   2021-07-27 16:02  2021-07-27 16:02  of the")
    assert max(map(len, lines)) <= 80


def test_a_file_cannot_control_the_terminal_but_programs_get_it_unchanged() -> None:
    file = "id\tname\r\n1,\x1b[2J\u202eM\u00fcller\r\n".encode()
    terminal, pipe = Terminal(), io.TextIOWrapper(io.BytesIO())
    out, plain = Output(terminal), Output(pipe)
    for at in range(len(file)):
        out.raw(file[at : at + 1])
        plain.raw(file[at : at + 1])
    assert terminal.getvalue() == "id\tname\n1,\\x1b[2J\\u202eM\u00fcller\n"
    assert isinstance(pipe.buffer, io.BytesIO)
    assert pipe.buffer.getvalue() == file


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_is_ascii_and_can_be_parsed_again(value: object) -> None:
    stream = io.StringIO()
    Output(stream).json(value)
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue()) == value
