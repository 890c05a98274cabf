"""Tests the parts of the dashboard that need no database: the positions in charts, the format of figures, and the
page."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.dashboard_routes import NAMES
from chalicelib.api.http.requests import MAX_BODY
from chalicelib.dashboard import charts, pages
from chalicelib.dashboard.panels import PANELS
from chalicelib.loads.outcomes import FINAL
from tests import screenshots

COUNT = st.integers(0, 10**9)
YEARS = st.lists(st.fixed_dictionaries(dict.fromkeys(charts.QUARTERS, COUNT)), max_size=60).map(
    lambda found: [{"year": 1990 + index, **year} for index, year in enumerate(found)]
)


@given(YEARS)
def test_columns_show_every_hire_within_the_chart(years: list[dict[str, int]]) -> None:
    bars = charts.columns(years)
    shown = years[-charts.MAX_COLUMNS :]
    assert sum(bar.value for bar in bars) == sum(year[q] for year in shown for q in charts.QUARTERS)
    ends = [0.0]
    for bar in bars:
        assert bar.at >= ends[-1]
        ends.append(bar.at + bar.size)
        assert 0 <= bar.length <= charts.COLUMNS_HEIGHT
    assert ends[-1] <= 100
    if any(bar.value for bar in bars):
        assert max(bar.length for bar in bars) == charts.COLUMNS_HEIGHT


def test_columns_are_quarters_for_few_years_and_years_for_many() -> None:
    year = {"q1": 1, "q2": 2, "q3": 3, "q4": 4}
    few = charts.columns([{"year": 2020, **year}, {"year": 2021, **year}])
    assert [bar.label for bar in few] == ["Q1", "Q2", "Q3", "Q4"] * 2
    assert [bar.starts_group for bar in few] == ["2020", "", "", "", "2021", "", "", ""]
    many = charts.columns([{"year": 2000 + index, **year} for index in range(5)])
    assert [(bar.label, bar.value) for bar in many] == [(str(2000 + index), 10) for index in range(5)]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_bars_are_as_long_as_their_values_and_the_mean_lies_among_them(hired: list[int]) -> None:
    mean = sum(hired) / len(hired)
    above = sorted((value for value in hired if value >= mean), reverse=True)
    bars, mean_at = charts.rows([{"department": str(value), "hired": value} for value in above], mean)
    assert [bar.value for bar in bars] == above
    assert bars[0].size == 100
    assert all(bar.size == pytest.approx(100 * bar.value / above[0], abs=0.001) for bar in bars)
    assert mean_at == pytest.approx(100 * mean / above[0], abs=0.001)


@given(st.lists(COUNT, max_size=6))
def test_shares_fill_the_whole(counts: list[int]) -> None:
    bars = charts.shares([(str(index), count) for index, count in enumerate(counts)])
    assert [bar.value for bar in bars] == [count for count in counts if count]
    if bars:
        assert bars[-1].at + bars[-1].size == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (7200, "2 hours"), (200_000, "2 days")],
)
def test_an_age_is_shown_in_its_largest_unit(seconds: float, text: str) -> None:
    assert pages.age(timedelta(seconds=seconds)) == text


def test_figures_are_formatted_for_readers() -> None:
    assert [pages.number(value) for value in (0, 1234, 63.5, 2.0, 1e9)] == ["0", "1,234", "63.5", "2", "1,000,000,000"]
    assert [pages.size(count) for count in (0, 999, 1000, 1_500_000, 2 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.5 MB",
        "2000.0 GB",
    ]
    east = datetime(2021, 7, 27, 18, 2, 8, 123456, tzinfo=timezone(timedelta(hours=2)))
    shown = '<time datetime="2021-07-27T16:02:08Z">2021-07-27 16:02:08</time>'
    assert str(pages.moment(east)) == shown
    assert pages.moment(None) == "–"
    assert east.astimezone(UTC).hour == 16


def test_the_page_knows_the_size_limit_of_a_check() -> None:
    assert f"MAX_CHECK = {MAX_BODY:_};" in pages.asset("page.js")


def test_the_page_knows_which_statuses_are_final() -> None:
    assert f"FINAL = {json.dumps(FINAL)};" in pages.asset("page.js")


def test_every_panel_of_the_route_has_a_function_and_a_template() -> None:
    assert set(NAMES) == set(PANELS)
    for name in NAMES:
        pages._environment().get_template(f"{name}.html")


def test_the_page_loads_nothing_from_other_origins() -> None:
    page = pages.render("page.html", authentication=True)
    assert f"<script>{pages.asset('page.js')}</script>" in page
    assert f"<style>{pages.asset('page.css')}</style>" in page
    assert not re.search(
        r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//""", page.replace("http://www.w3.org", "")
    )
    assert not re.search(r"\son[a-z]+=|\sstyle=|javascript:", page), "the policy of the page forbids them"


@pytest.mark.parametrize("name", NAMES)
def test_panels_carry_no_style_or_script_of_their_own(name: str) -> None:
    source = (pages._HERE / "templates" / f"{name}.html").read_text()
    assert not re.search(r"<script|<style|\son[a-z]+=|\sstyle=|javascript:|\|\s*safe", source)


def test_the_pictures_in_the_readme_show_this_dashboard() -> None:
    """If the dashboard has changed, `make screenshots` takes new pictures."""
    assert screenshots.RECORD.read_text().strip() == screenshots.digest()
    readme = (screenshots.DOCS.parent / "README.md").read_text()
    for picture in screenshots.PICTURES:
        assert f"](docs/{picture})" in readme
        assert (screenshots.DOCS / picture).read_bytes().startswith(b"\x89PNG")
