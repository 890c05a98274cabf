"""Tests the dashboard of the deployed app in a real browser."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Error, FilePayload, expect

from infra.sample import sample
from tests import screenshots
from tests.e2e.browser import PHONE, Visit, launched, visiting
from tests.e2e.cloud import Cloud
from tests.workbooks import table

PANELS = ("reports", "loads", "upload", "backups", "health")
EMPLOYEES = (  # department 1 hires five employees in two years, and department 2 hires one employee
    "1,Ada,2021-01-05T10:00:00Z,1,1\n2,Bea,2021-02-05T10:00:00Z,1,1\n3,Cid,2021-08-05T10:00:00Z,1,2\n"
    "4,Dan,2021-12-31T23:59:59Z,1,1\n5,Eve,2021-05-05T10:00:00Z,2,1\n6,Flo,2020-05-05T10:00:00Z,1,1\n"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, cloud: Cloud) -> Iterator[Visit]:
    with visiting(browser, cloud.env["API_URL"]) as tab:
        sign_in(tab, cloud)
        yield tab


def sign_in(visit: Visit, cloud: Cloud) -> None:
    """Sign in with the operator's token if the stage requires tokens."""
    if cloud.env["API_TOKEN"]:
        visit.expected.append("status of 401")  # the first requests of the page have no token, so they get a 401
        visit.page.goto(visit.url)
        visit.page.get_by_label("Token").fill(cloud.env["API_TOKEN"])
        visit.page.get_by_role("button", name="Sign in").click()
        visit.settled()
        visit.expected.remove("status of 401")


def fill(cloud: Cloud) -> None:
    cloud.upload("departments.csv", "1,Staff\n2,Stores\n")
    cloud.upload("jobs.csv", "1,Recruiter\n2,Analyst\n")
    cloud.upload("hired_employees.csv", EMPLOYEES)


def drop(visit: Visit, name: str, text: str) -> None:
    """Drop a file on the page, as a user does with the mouse."""
    data = visit.page.evaluate_handle(
        "([name, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name)); return data; }",
        [name, text],
    )
    for event in ("dragover", "drop"):
        visit.page.dispatch_event("#drop", event, {"dataTransfer": data})


# --- reports


def test_charts_and_tables_show_the_responses_of_the_api(cloud: Cloud, visit: Visit) -> None:
    fill(cloud)
    visit.open("reports")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Hires in 2021")
    report = cloud.get("/department/hires/quarterly/2021").body
    quarters = [(q.upper(), sum(row[q] for row in report)) for q in ("q1", "q2", "q3", "q4")]
    assert visit.values("g.column") == quarters == [("Q1", 2), ("Q2", 1), ("Q3", 1), ("Q4", 1)]
    top = cloud.get("/department/hires/top/2021").body
    assert visit.values("g.bar") == [(row["department"], row["hired"]) for row in top] == [("Staff", 4)]
    assert visit.text("#mean") == "2.5"
    rows = visit.page.locator("#quarterly tbody tr").all_inner_texts()
    shown = [[row["department"], row["job"], *(str(row[q]) for q in ("q1", "q2", "q3", "q4"))] for row in report]
    assert [row.split("\t")[:-1] for row in rows] == shown
    heights = [box["height"] for r in visit.page.locator("g.column rect").all() if (box := r.bounding_box())]
    assert heights[0] == pytest.approx(2 * heights[1], abs=1), "a column is as high as its value"


def test_the_user_chooses_the_years_and_the_department_of_a_report(cloud: Cloud, visit: Visit) -> None:
    fill(cloud)
    visit.open("reports")
    visit.page.get_by_role("combobox", name="From").select_option("2020")
    visit.page.get_by_role("combobox", name="Department").select_option(label="Staff")
    visit.page.get_by_role("button", name="Show").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Hires in 2020 to 2021")
    assert visit.text("#hired") == "5"
    assert visit.page.evaluate("location.hash") == "#/reports?from=2020&to=2021&department_id=1"
    visit.page.reload()  # the address keeps all choices of the user
    visit.settled()
    assert visit.text("#hired") == "5"
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Hires in 2021")


def test_reports_are_downloaded(cloud: Cloud, visit: Visit) -> None:
    cloud.upload("departments.csv", "1,=1+1\n")
    cloud.upload("jobs.csv", "1,Recruiter\n2,Analyst\n")
    cloud.upload("hired_employees.csv", "1,Ada,2021-01-05,1,1\n")
    visit.open("reports")
    downloaded = {}
    for name in ("CSV of quarterly", "JSON of quarterly"):
        with visit.page.expect_download() as download:
            visit.page.get_by_role("link", name=name).click()
        downloaded[name] = (download.value.suggested_filename, Path(download.value.path()).read_text())
    name, text = downloaded["CSV of quarterly"]
    assert name == "quarterly-hires-2021.csv"
    assert list(csv.reader(io.StringIO(text)))[1] == ["2021", "'=1+1", "Recruiter", "1", "0", "0", "0"]
    name, text = downloaded["JSON of quarterly"]
    assert name == "quarterly-hires-2021.json"
    assert json.loads(text) == cloud.get("/department/hires/quarterly?from=2021&to=2021").body


def test_a_long_file_of_rejects_is_downloaded_whole(cloud: Cloud, visit: Visit) -> None:
    """The API sends such a file in parts, each with its own header."""
    rows = 1200
    load = cloud.upload("departments.csv", "1,Staff\n" + "".join(f"x{row},{'y' * 9000}\n" for row in range(rows)))
    visit.open(f"load?id={load['id']}")
    with visit.page.expect_download() as download:
        visit.page.locator("a[data-download$='.csv']").click()
    text = Path(download.value.path()).read_text()
    header, *lines = csv.reader(io.StringIO(text))
    assert header[0] == "line"
    assert [line[0] for line in lines] == [str(number) for number in range(2, rows + 2)]


# --- files


def test_a_dropped_file_is_loaded(cloud: Cloud, visit: Visit) -> None:
    visit.open("upload")
    drop(visit, "departments_new.csv", "1,Staff\n,Nameless\n3,\n")
    expect(visit.page.get_by_label("Dataset of departments_new.csv")).to_have_value("departments")
    visit.page.get_by_role("button", name="Upload").click()
    outcome = visit.page.locator(".outcome")
    expect(outcome).to_contain_text("succeeded: 1 inserted, 2 rejected", timeout=60_000)
    expect(outcome).to_contain_text("id is missing")
    assert cloud.table("departments") == [(1, "Staff")]
    outcome.get_by_role("link").click()
    expect(visit.page.get_by_role("heading", level=1)).to_contain_text("Load ")
    visit.settled()
    assert dict(visit.values(".shares rect")) == {"inserted": 1, "rejected": 2}
    link = visit.page.get_by_role("link", name="All rejected rows")
    with urlopen(str(link.get_attribute("href"))) as response:
        records = [json.loads(line) for line in response.read().splitlines()]
    assert [record["reasons"] for record in records] == [["id is missing"], ["department is missing"]]
    assert visit.page.locator("#reasons tbody tr").all_inner_texts() == [
        "department is missing\tmissing\t1",
        "id is missing\tmissing\t1",
    ]


def test_a_page_from_localhost_can_upload_a_file(cloud: Cloud, browser: Browser, stage: str | None) -> None:
    """The page is from localhost and sends its file to 127.0.0.1, which is another origin. The landing bucket accepts
    files from pages of both origins."""
    if stage is not None:
        pytest.skip("this stage may be on another machine")
    address = cloud.env["API_URL"].replace("127.0.0.1", "localhost")
    with visiting(browser, address, hosts=(urlsplit(cloud.env["API_URL"]).netloc,)) as visit:
        sign_in(visit, cloud)
        visit.open("upload")
        drop(visit, "departments_local.csv", "1,Staff\n")
        visit.page.get_by_role("button", name="Upload").click()
        expect(visit.page.locator(".outcome")).to_contain_text("succeeded: 1 inserted", timeout=60_000)


def test_the_user_chooses_the_dataset_of_a_file_with_an_unknown_name(cloud: Cloud, visit: Visit) -> None:
    visit.open("upload")
    drop(visit, "export.csv", "1,Clerk\n")
    expect(visit.page.get_by_role("button", name="Upload")).to_be_disabled()
    visit.page.get_by_label("Dataset of export.csv").select_option("jobs")
    visit.page.get_by_role("button", name="Upload").click()
    expect(visit.page.locator(".outcome")).to_contain_text("succeeded: 1 inserted", timeout=60_000)
    assert cloud.table("jobs") == [(1, "Clerk")]


def test_a_check_writes_nothing(cloud: Cloud, visit: Visit) -> None:
    before = cloud.newest_load()
    visit.open("upload")
    visit.page.get_by_label("Drop").set_input_files(
        FilePayload(name="jobs.csv", mimeType="text/csv", buffer=b"1,Clerk\n2,\n1,Chief\n")
    )
    visit.page.get_by_role("button", name="Check only").click()
    outcome = visit.page.locator(".outcome")
    expect(outcome).to_contain_text("Nothing was written.", timeout=60_000)
    expect(outcome).to_contain_text("1 inserted, 1 superseded, 1 rejected")
    expect(outcome).to_contain_text("job is missing")
    assert cloud.table("jobs") == []
    assert cloud.newest_load() == before
    visit.page.get_by_role("button", name="Upload").click()  # the same file is loaded after the check
    expect(outcome).to_contain_text("succeeded: 1 inserted, 1 superseded, 1 rejected", timeout=60_000)
    assert cloud.table("jobs") == [(1, "Chief")]


@pytest.mark.parametrize("button", ["Check only", "Upload"])
def test_a_workbook_under_the_name_of_a_text_is_read_as_a_workbook(cloud: Cloud, visit: Visit, button: str) -> None:
    visit.open("upload")
    body = table([["id", "building", "job"], [1, 7, "Clerk"]])
    visit.page.get_by_label("Drop").set_input_files(FilePayload(name="jobs.csv", mimeType="text/csv", buffer=body))
    visit.page.get_by_role("button", name=button).click()
    outcome = visit.page.locator(".outcome")
    expect(outcome).to_contain_text("1 inserted", timeout=60_000)
    expect(outcome).to_contain_text("Read as XLSX, with a header, ignored columns: building")


def test_the_list_of_loads_refreshes_itself(cloud: Cloud, visit: Visit) -> None:
    form = cloud.post("/uploads", {"dataset": "jobs", "filename": "jobs.csv", "size": 100}).body
    visit.open("loads")
    row = visit.page.locator(f'tr[data-load="{form["load_id"]}"]')
    expect(row).to_contain_text("queued")
    cloud.s3.put_object(Bucket=cloud.env["LANDING_BUCKET"], Key=form["key"], Body=b"1,Clerk\n2,\n")
    expect(row).to_contain_text("succeeded", timeout=60_000)
    visit.page.get_by_role("combobox", name="Status").select_option("failed")
    visit.page.get_by_role("button", name="Show").click()
    expect(row).to_have_count(0)


# --- backups


def test_a_restore_shows_its_effect_and_needs_a_confirmation(cloud: Cloud, visit: Visit) -> None:
    cloud.upload("departments.csv", "1,Staff\n2,Stores\n")
    point = cloud.backup()
    cloud.upload("departments.csv", "1,Changed\n3,New\n")
    cloud.backup()  # the test restores this older restore point
    visit.open("backups")
    visit.page.locator(f'tr[data-point="{point}"]').get_by_role("link").click()
    expect(visit.page.locator("#restore")).to_contain_text("departments: 2 rows then, 3 now")
    expect(visit.page.locator("#restore")).to_contain_text("Rows that were changed after this time")
    visit.page.get_by_label("jobs").uncheck()
    visit.page.get_by_label("hired_employees").uncheck()
    button = visit.page.get_by_role("button", name="Restore")
    button.click()
    assert cloud.table("departments")[0] == (1, "Changed"), "there is no restore without a confirmation"
    visit.page.get_by_label("I want the rows").check()
    button.click()
    expect(visit.page.locator("#restored")).to_contain_text(
        "departments: succeeded, 1 updated, 1 unchanged", timeout=60_000
    )
    assert cloud.table("departments") == [(1, "Staff"), (2, "Stores"), (3, "New")]


def test_health_is_shown(cloud: Cloud, visit: Visit) -> None:
    visit.open("health")
    expect(visit.page.locator("#panel")).to_contain_text("everything works")
    assert "Dead letters" in visit.text("#health")


# --- accessibility and safety


def test_the_dashboard_can_be_used_with_the_keyboard_alone(cloud: Cloud, visit: Visit) -> None:
    fill(cloud)
    point = cloud.backup()
    cloud.upload("jobs.csv", "1,Changed\n")
    keys = visit.page.keyboard
    visit.open("reports")
    visit.page.evaluate("document.body.focus()")

    def tab_to(text: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            focused = visit.page.evaluate(
                "(e => e.ariaLabel || (e.labels?.[0] || e).textContent.trim())(document.activeElement)"
            )
            if text in focused:
                outline = visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{text} has the focus, but does not show it"
                return
        pytest.fail(f"the key Tab does not reach {text}")

    tab_to("Skip to the content")
    keys.press("Enter")
    tab_to("From")
    keys.type("2020")
    tab_to("Show")
    keys.press("Enter")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Hires in 2020 to 2021")
    assert visit.page.evaluate("document.activeElement.tagName") == "H1", (
        "the heading has the focus, so that a screen reader reads the heading"
    )
    visit.open("backups")
    tab_to("Restore the state of")
    keys.press("Enter")
    expect(visit.page.locator("#restore")).to_have_attribute("data-point", point)
    visit.settled()
    tab_to("I want the rows")
    keys.press("Space")
    tab_to("Restore")
    keys.press("Enter")
    expect(visit.page.locator("#restored")).to_contain_text("hired_employees: succeeded", timeout=60_000)
    assert cloud.table("jobs")[0] == (1, "Recruiter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_panels_are_accessible_on_every_screen(
    cloud: Cloud, browser: Browser, scheme: str, viewport: dict[str, int] | None
) -> None:
    fill(cloud)
    load = cloud.upload("jobs_broken.csv", "1,\nx,y\n")
    point = cloud.backup()
    options = {"viewport": viewport} if viewport else {}
    with visiting(browser, cloud.env["API_URL"], color_scheme=scheme, **options) as visit:
        sign_in(visit, cloud)
        for panel in (*PANELS, "reports?from=2020&to=2021", f"load?id={load['id']}", f"restore?point={point}"):
            visit.open(panel)
            assert visit.violations() == [], panel
            assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{panel} is too wide"
        dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 100")
        assert dark == (scheme == "dark")


def test_the_accessibility_check_finds_a_violation(visit: Visit) -> None:
    visit.open("health")
    visit.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [violation.split(":")[0] for violation in visit.violations()] == ["button-name"]


def test_data_is_shown_as_text_and_never_as_markup(cloud: Cloud, visit: Visit) -> None:
    hostile = "<img src=x onerror=document.title=1>"
    cloud.upload("departments.csv", f"1,{hostile}\n")
    cloud.upload("jobs.csv", f"1,{hostile}\n")
    cloud.upload("hired_employees.csv", f"1,{hostile},2021-01-05,1,1\n")
    load = cloud.upload(f"jobs{hostile.replace('/', '')}.csv", f"x,{hostile}\n")
    for panel in ("reports", "loads", f"load?id={load['id']}"):
        visit.open(panel)
        assert hostile in visit.text("#panel"), panel
        assert visit.page.locator("#panel img").count() == 0


def test_a_direction_mark_in_a_file_is_shown_and_changes_no_order(cloud: Cloud, visit: Visit) -> None:
    visit.open("upload")
    drop(visit, "jobs_\u202evsc.csv", "1,\u202e\n\u202ex,Clerk\n")
    expect(visit.page.locator("#chosen .file-name")).to_have_text("jobs_[U+202E]vsc.csv")
    visit.page.get_by_role("button", name="Check only").click()
    expect(visit.page.locator("#chosen .raw")).to_have_text(["1,[U+202E]", "[U+202E]x,Clerk"])
    visit.page.get_by_role("button", name="Upload").click()
    expect(visit.page.locator("#chosen .outcome")).to_contain_text("no row could be loaded")
    expect(visit.page.locator("#chosen .raw")).to_have_text(["1,[U+202E]", "[U+202E]x,Clerk"])
    assert "\u202e" not in visit.page.locator("body").inner_text()


def test_errors_are_shown(cloud: Cloud, visit: Visit) -> None:
    visit.expected += ["status of 404", "status of 422"]
    visit.open("load?id=999999999")
    expect(visit.page.locator("#trouble")).to_have_text("there is no load 999999999")
    visit.open("upload")
    drop(visit, "jobs-${filename}.csv", "1,Welder\n")
    visit.page.get_by_role("button", name="Upload").click()
    expect(visit.page.locator(".outcome .alert")).to_be_visible()
    expect(visit.page.locator("#trouble")).to_be_hidden()


def test_the_page_opens_without_the_final_slash_of_its_address(cloud: Cloud, browser: Browser) -> None:
    for url in (cloud.env["API_URL"], f"{cloud.env['API_URL']}/"):
        with visiting(browser, cloud.env["API_URL"]) as visit:
            visit.page.goto(url)
            sign_in(visit, cloud)
            visit.settled()
            expect(visit.page.locator("h1").last).to_contain_text("Hires in")
            assert visit.page.get_by_role("link", name="API").get_attribute("href") == f"{cloud.env['API_URL']}/docs"


def test_the_page_refreshes_itself_but_not_while_the_user_makes_a_choice(cloud: Cloud, visit: Visit) -> None:
    cloud.post("/uploads", {"dataset": "jobs", "filename": "jobs.csv", "size": 100})
    visit.open("loads")
    for _ in range(2):
        with visit.page.expect_request("**/dashboard/loads"):
            pass
    status = visit.page.get_by_role("combobox", name="Status")
    status.select_option("failed")
    visit.page.get_by_role("heading", level=1).click()
    with pytest.raises(Error, match="Timeout"), visit.page.expect_request("**/dashboard/loads", timeout=2500):
        pass
    expect(status).to_have_value("failed")


def test_the_documentation_page_can_send_a_request_to_the_api(cloud: Cloud, visit: Visit) -> None:
    fill(cloud)
    visit.open("reports")
    visit.page.get_by_role("link", name="API").click()
    if cloud.env["API_TOKEN"]:
        visit.page.get_by_role("button", name="Authorize").first.click()
        dialog = visit.page.locator(".modal-ux")
        dialog.locator("input").fill(cloud.env["API_TOKEN"])
        dialog.locator("button.authorize").click()
        dialog.locator("button.btn-done").click()
    operation = visit.page.locator("#operations-reports-report_years")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text('"year": 2021')


def test_pictures_are_taken(cloud: Cloud, browser: Browser, tmp_path: Path) -> None:
    """This test takes pictures of the dashboard. `make screenshots` runs the test to store them for the README."""
    folder = screenshots.DOCS if os.environ.get("HIREFLOW_SCREENSHOTS") else tmp_path
    reports, load_picture = screenshots.PICTURES
    loads = [cloud.upload(file.key, file.body) for file in sample().files]
    most = max(
        loads[1:], key=lambda load: int(load["rejected"])
    )  # not the first load, whose rows were rejected only because they came before their parents
    with visiting(browser, cloud.env["API_URL"], viewport={"width": 1200, "height": 750}) as visit:
        sign_in(visit, cloud)
        visit.open("reports?from=2021&to=2022")
        visit.page.screenshot(path=folder / reports)
    with visiting(browser, cloud.env["API_URL"], viewport={"width": 1200, "height": 750}, color_scheme="dark") as visit:
        sign_in(visit, cloud)
        visit.open(f"load?id={most['id']}")
        visit.page.screenshot(path=folder / load_picture)
    screenshots.record(folder)
    assert all((folder / name).stat().st_size > 10_000 for name in screenshots.PICTURES)
