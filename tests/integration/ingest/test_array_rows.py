"""Tests that Postgres reads the rows of a request as they were sent, and does not read all open rejects to resolve
some."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.cloud.database import Database
from chalicelib.core.datasets import DATASETS
from chalicelib.ingest import open_rejects
from chalicelib.ingest.array_rows import array, relation

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SPECIAL = st.sampled_from(["", "NULL", "null", "{}", ",", '"', "\\", '\\"', " a ", "\n", "'", "a,b"])
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(st.lists(st.none() | TEXTS | SPECIAL, max_size=8) | st.lists(TEXTS | SPECIAL, max_size=8))
def test_texts_and_nulls_reach_postgres_unchanged(database: Database, values: list[str | None]) -> None:
    with database.session() as session:
        query = "SELECT value FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS t (value, place) ORDER BY place"
        assert [row[0] for row in session.run(query, texts=array(values))] == values


def test_the_columns_of_a_row_stay_together_and_rows_keep_their_order(database: Database) -> None:
    rows, arrays = relation(DATASETS["jobs"], [[7, 7, 3], ["first", 'last "one"', "other"]], 3 * [frozenset()])
    with database.session() as session:
        read = session.run(f"SELECT seq, id, job FROM {rows.source} ORDER BY seq", **arrays)
    assert read == [[1, 7, "first"], [2, 7, 'last "one"'], [3, 3, "other"]]


def test_corrected_rejects_are_looked_up_by_their_lines(database: Database) -> None:
    """By the statistics, each load has one open reject. The load that is corrected has many."""
    with database.session() as session, session.transaction():
        session.run(
            "INSERT INTO loads (dataset, source, kind, status)"
            " SELECT 'jobs', 'x' || g, 'csv', 'succeeded' FROM generate_series(1, 2000) g;"
            "INSERT INTO open_rejects (load_id, place, dataset, id, waits) SELECT id, 1, 'jobs', 1, false FROM loads;"
            "ANALYZE open_rejects;"
            "CREATE TEMP TABLE corrected_rows ON COMMIT DROP AS SELECT g AS id, CAST(g AS text) AS line"
            " FROM generate_series(1, 300) g"
        )
        load_id = session.scalar("SELECT max(id) FROM loads")
        session.run(
            f"INSERT INTO open_rejects SELECT {load_id}, g, 'jobs', g, false FROM generate_series(2, 300) g;"
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
        )
        read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'corrected_rows'"
        before = session.scalar(read)
        open_rejects.correct(session, load_id, "corrected_rows", "line")
        assert session.scalar(read) - before <= 2 * 300
        assert session.scalar("SELECT count(*) FROM open_rejects") == 1999
        assert session.run("SELECT id, resolved FROM loads WHERE resolved > 0") == [[load_id, 300]]


def test_a_request_looks_up_open_rejects_by_the_ids_of_its_rows(database: Database) -> None:
    """A request must not read all open rejects of its dataset, of which there may be very many."""
    with database.session() as session:
        session.run(
            "INSERT INTO loads (dataset, source, kind, status) VALUES ('jobs', 'x', 'csv', 'succeeded');"
            "INSERT INTO open_rejects (load_id, place, dataset, id, waits)"
            " SELECT (SELECT max(id) FROM loads), g, 'jobs', g, false FROM generate_series(1, 20000) g"
        )
        resolving = open_rejects.resolving("_new")
        plan = session.run(f"EXPLAIN WITH _new AS MATERIALIZED (SELECT 1 AS id), {resolving} SELECT", dataset="jobs")
        lines = "\n".join(line for [line] in plan)
    assert "AND (id = ANY" in lines, lines
