"""Tests what a merge does with columns that rows leave out, with null, and with defaults. The datasets are those of
`shop`."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.dataset import MOST_COLUMNS, Column, Dataset
from chalicelib.core.kinds.table import Kind
from chalicelib.formats.csv_layout import CsvLayout
from chalicelib.formats.pg_copy import text_format
from chalicelib.ingest import array_rows, merge, staging_table
from chalicelib.ingest.merge import Merged
from chalicelib.ingest.relation import Relation
from chalicelib.ingest.rows import SentRows, Upload, upload
from chalicelib.ingest.staging_table import StagingTable
from tests.integration.landing import GRACE
from tests.integration.s3_fixtures import S3
from tests.integration.shop import NEW, NOTES, ORDERS, Row, Shop, shop, staged, users

__all__ = ["shop", "users"]


def send(shop: Shop, s3: S3, dataset: Dataset, *rows: Row) -> Upload:
    return upload(shop.database, s3.storage, SentRows(dataset, rows, "api"), grace=GRACE)


def outcome(result: Upload) -> tuple[int, int, int, int]:
    return (result.counts.inserted, result.counts.updated, result.counts.unchanged, result.counts.superseded)


def test_a_new_row_gets_the_defaults_of_the_columns_that_it_leaves_out(users: Shop, s3: S3) -> None:
    assert outcome(send(users, s3, ORDERS, {"id": 7, "user": 1})) == (1, 0, 0, 0)
    assert users.rows(ORDERS) == {7: {**NEW, "user": 1}}


def test_a_stored_row_keeps_the_values_of_the_columns_that_a_row_leaves_out(users: Shop, s3: S3) -> None:
    row = {"user": 1, "select": "mine", "default": None, "place": "here", "from": 2, "group": 2}
    users.insert(ORDERS, {"id": 7, **row})
    assert outcome(send(users, s3, ORDERS, {"id": 7, "user": 1})) == (0, 0, 1, 0)
    assert outcome(send(users, s3, ORDERS, {"id": 7, "user": 3, "group": 1})) == (0, 1, 0, 0)
    assert users.rows(ORDERS) == {7: {**NEW, **row, "user": 3, "group": 1}}


def test_null_and_an_empty_text_set_null_in_an_optional_column(users: Shop, s3: S3) -> None:
    users.insert(ORDERS, {"id": 7, "user": 1, "place": "here", "from": 2}, {"id": 8, "user": 1, "place": "there"})
    assert outcome(send(users, s3, ORDERS, {"id": 7, "user": 1, "from": None}, {"id": 8, "user": 1, "place": " "})) == (
        0,
        2,
        0,
        0,
    )
    found = users.rows(ORDERS)
    assert (found[7]["from"], found[7]["place"], found[8]["place"]) == (None, "here", None)


def test_null_in_an_optional_column_with_a_default_is_null(users: Shop, s3: S3) -> None:
    send(users, s3, ORDERS, {"id": 7, "user": 1, "default": None}, {"id": 8, "user": 1})
    assert [row["default"] for row in users.rows(ORDERS).values()] == [None, "none given"]


def test_null_in_a_mandatory_column_with_a_default_is_missing(users: Shop, s3: S3) -> None:
    result = send(users, s3, ORDERS, {"id": 7, "user": 1, "select": None}, {"id": 8, "user": 1})
    assert [(reject.place, reject.reasons) for reject in result.rejects] == [(0, ["select is missing"])]
    assert list(users.rows(ORDERS)) == [8]


def test_each_row_of_a_batch_may_leave_out_other_columns(users: Shop, s3: S3) -> None:
    users.insert(ORDERS, *({"id": i, "user": 1, "place": "old", "select": "old"} for i in (1, 2, 3)))
    rows: list[Row] = [
        {"id": 1, "user": 1, "place": "new"},
        {"id": 2, "user": 1, "select": "new"},
        {"id": 3, "user": 1, "place": None},
        {"id": 4, "user": 1},
        {"user": 1, "select": "given"},
    ]
    result = send(users, s3, ORDERS, *rows)
    assert result.ids == [1, 2, 3, 4, 5]
    assert outcome(result) == (2, 3, 0, 0)
    found = users.rows(ORDERS)
    assert [(found[i]["place"], found[i]["select"]) for i in range(1, 6)] == [
        ("new", "old"), ("old", "new"), (None, "old"), (None, NEW["select"]), (None, "given"),
    ]  # fmt: skip


def test_of_several_rows_with_the_same_id_only_the_last_counts(users: Shop, s3: S3) -> None:
    users.insert(ORDERS, {"id": 1, "user": 1, "place": "old"})
    result = send(users, s3, ORDERS, {"id": 1, "user": 2, "place": "lost"}, {"id": 1, "user": 3, "default": "kept"})
    assert outcome(result) == (0, 1, 0, 1)
    assert users.rows(ORDERS) == {1: {**NEW, "user": 3, "place": "old", "default": "kept"}}


def test_rows_with_only_an_id_are_inserted_and_change_no_stored_row(shop: Shop, s3: S3) -> None:
    shop.insert(NOTES, {"id": 1, "t": "kept"})
    assert outcome(send(shop, s3, NOTES, {"id": 1}, {"id": 2}, {})) == (2, 0, 1, 0)
    assert shop.rows(NOTES) == {1: {"t": "kept"}, 2: {"t": None}, 3: {"t": None}}


def test_an_optional_reference_may_be_null_but_must_not_name_an_unknown_parent(users: Shop, s3: S3) -> None:
    rows: list[Row] = [
        {"id": 1, "user": 1, "from": None, "group": None},
        {"id": 2, "user": 1, "from": 9, "group": 9},
        {"id": 3, "user": 9, "from": 2},
        {"id": 4, "user": 1, "from": 2, "group": 2},
    ]
    result = send(users, s3, ORDERS, *rows)
    assert [(reject.place, reject.reasons) for reject in result.rejects] == [
        (1, ["from 9 does not exist", "group 9 does not exist"]),
        (2, ["user 9 does not exist"]),
    ]
    assert [(i, row["from"], row["group"]) for i, row in users.rows(ORDERS).items()] == [(1, None, None), (4, 2, 2)]


# ---- every way of merging, compared with a model

TEXTS = st.sampled_from(["a", "b"])
SENT = st.fixed_dictionaries(
    {"id": st.integers(1, 5), "user": st.integers(1, 3)},
    optional={
        "select": TEXTS,
        "default": TEXTS | st.none(),
        "place": TEXTS | st.none(),
        "from": st.integers(1, 3) | st.none(),
        "group": st.integers(1, 2) | st.none(),
    },
)
BATCHES = st.lists(SENT, min_size=1, max_size=8)


def expected(table: dict[int, Row], rows: Sequence[Row]) -> tuple[Merged, dict[int, Row]]:
    """Return the result of a merge of these rows, and the table after it."""
    last = {row["id"]: {name: value for name, value in row.items() if name != "id"} for row in rows}
    after = {**table, **{row_id: {**table.get(row_id, NEW), **row} for row_id, row in last.items()}}
    new = sum(row_id not in table for row_id in last)
    changed = sum(row_id in table and table[row_id] != after[row_id] for row_id in last)
    return Merged(len(last), new, changed), after


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BATCHES, BATCHES)
def test_all_ways_of_merging_agree_with_the_contract(users: Shop, s3: S3, before: list[Row], rows: list[Row]) -> None:
    for way in ("load", "request"):
        table: dict[int, Row] = {}
        with users.database.session() as session:
            session.run(f"TRUNCATE {ORDERS.table}")
        for portion in (before, rows):
            result, table = expected(table, portion)
            if way == "request":
                found = send(users, s3, ORDERS, *portion)
                assert outcome(found)[:3] == (result.inserted, result.updated, result.unchanged)
            else:
                with users.database.transaction() as session:
                    relation = staged(session, portion)
                    assert merge.preview(session, ORDERS, relation) == result
                    assert merge.load(session, ORDERS, relation) == result
            assert users.rows(ORDERS) == table, way


def test_a_merge_without_left_out_columns_has_no_flags() -> None:
    """Rows with all columns, and rows that leave out the same columns, need no flags. So their merge costs no more."""
    values = [[1, 2]] + 7 * [[None, None]]
    for indexes, columns in ((frozenset[int](), 8), (frozenset({2, 3, 4, 5, 6, 7}), 2)):
        relation, arrays = array_rows.relation(ORDERS, values, [indexes, indexes])
        assert (len(relation.columns), len(arrays), relation.left_out) == (columns, columns, {})
        assert "_left_out" not in relation.source


def test_a_file_without_header_may_have_as_many_columns_that_a_row_leaves_out_as_can_be_declared(shop: Shop) -> None:
    """A function of Postgres takes at most 100 arguments."""
    most = MOST_COLUMNS - 1
    numbers = [Column(f"n{at}", Kind.WHOLE_NUMBER, optional=True, default=at) for at in range(most)]
    wide = Dataset("wide", "wide_row", (Column("id", Kind.ID), *numbers))
    layout = CsvLayout.by_position(wide)
    table = StagingTable(wide, text_format(layout))
    lines = "7,1" + "," * (most - 1) + "\n8" + "," * 100 + "5" + "," * (most - 100) + "\n"
    with shop.database.session() as session:
        session.run(f"CREATE TEMP TABLE wide (id integer, {', '.join(f'{c.quoted} bigint' for c in numbers)})")
        session.run("INSERT INTO wide (id, n0, n1) VALUES (7, 3, 4)")
        staging_table.create(session, table)
        table.copy_in(session, [lines.encode()])
        merged = merge.load(session, wide, Relation.staged(wide, layout, table.name))
        assert merged == Merged(distinct=2, inserted=1, updated=1)
        assert [list(row) for row in session.run("SELECT id, n0, n1, n99, n100, n198 FROM wide ORDER BY id")] == [
            [7, 1, 4, None, None, None],
            [8, None, None, 5, 100, 198],
        ]
        session.run("DROP TABLE wide")
