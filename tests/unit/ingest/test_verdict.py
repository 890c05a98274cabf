"""Tests what the verdict on a file says about its rejects: the commonest reason, and what to do."""

import pytest

from chalicelib.core.datasets import DATASETS
from chalicelib.core.declarations import Declarations
from chalicelib.core.reasons import MISSING, NOT_AN_ID, NOT_UTF8, TOO_FEW_FIELDS, Problem
from chalicelib.core.rules import missing_parent
from chalicelib.formats.containers import Container
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.file_format import Format
from chalicelib.ingest.oddities import Oddities
from chalicelib.ingest.rejects import Reasons
from chalicelib.ingest.verdict import FileCounts, verdict

EMPLOYEES = DATASETS["hired_employees"]


def said(container: Container, *rejects: tuple[Problem, ...], waiting: int = 0) -> str | None:
    """Return the verdict on a file of these rejects, of which none is allowed."""
    reasons, oddities = Reasons(), Oddities()
    for line, problems in enumerate(rejects, 1):
        reasons.add(problems)
        oddities.add_reject(line, b"1,Caf\xe9", problems)
    declared = Declarations.of({"max-rejected": "0"})
    found = Format(container, CsvLayout(b",", (0, 1, 2, 3, 4), has_header=True), declared=declared)
    counts = FileCounts(len(rejects) + waiting, len(rejects), waiting)
    return verdict(found, counts, reasons.counted(), oddities)


def test_a_missing_parent_is_never_named_because_it_alone_rejects_no_row() -> None:
    parent = missing_parent("department_id", 9)
    allows = "2 of 3 rows were rejected, more than max-rejected=0 allows"
    both = (parent, NOT_AN_ID.of("id"))
    assert said(Container.TEXT, both, both, waiting=1) == f"{allows}: id {NOT_AN_ID} (each row)"
    other = (parent, MISSING.of("name"))
    assert said(Container.TEXT, both, other, waiting=1) == f"{allows}: id {NOT_AN_ID} (1 of 2 rejected rows)"


@pytest.mark.parametrize("container", [Container.AVRO, Container.XLSX])
def test_only_a_text_file_is_said_to_have_another_encoding_or_delimiter(container: Container) -> None:
    undecodable, short = (NOT_UTF8.of("name"),), (TOO_FEW_FIELDS.of(wanted=5, sent=1),)
    assert said(container, undecodable) == f"no row could be loaded: name {NOT_UTF8}; write its texts in UTF-8"
    assert said(container, short) == "no row could be loaded: expected 5 fields, found fewer"
    assert "declare encoding=windows-1252" in str(said(Container.TEXT, undecodable))
    assert "declare delimiter=" in str(said(Container.TEXT, short))
    oddities = Oddities()
    oddities.add_reject(1, b"1,Caf\xe9", undecodable)
    assert oddities.notices(None) == ["1 row holds bytes that are not valid UTF-8; write its texts in UTF-8"]
