"""Opens the deployed dashboard in a real browser. Playwright controls Debian's Chromium, and axe-core checks the
accessibility of pages.

`make browser` installs Chromium and axe-core. If one of them is missing, the browser tests are skipped. If
HIREFLOW_BROWSER is `required`, as in continuous integration, these tests fail instead.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without the last four options, Chromium would send requests to servers of Google.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, PHONE = {"width": 1200, "height": 800}, {"width": 360, "height": 740}
_STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def program() -> str:
    """Return the path of the browser. Skip (or fail) the test if the browser or axe-core is missing."""
    browser = next(filter(None, map(shutil.which, _NAMES)), None)
    missing = [name for name, exists in (("Chromium", browser), ("axe-core", AXE.exists())) if not exists]
    if missing:
        say = pytest.fail if os.environ.get("HIREFLOW_BROWSER") == "required" else pytest.skip
        say(f"not installed: {' and '.join(missing)}; run `make browser`")
    return str(browser)


@contextmanager
def launched() -> Iterator[Browser]:
    path = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A tab of the browser. It records the errors that occur in the tab, and the hosts to which the tab sends
    requests."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    # The console may show errors with these texts, because a test causes them.
    expected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.troubles.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if request.url.startswith("http"):
            self.hosts.add(urlsplit(request.url).netloc)

    def open(self, panel: str) -> None:
        """Open the address of a panel, and wait until the panel is shown."""
        self.page.goto(f"{self.url}/#/{panel}")
        self.settled()

    def settled(self) -> None:
        self.page.locator('#panel[aria-busy="false"]').wait_for(state="attached")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def values(self, selector: str) -> list[tuple[str, int]]:
        """Return the pairs (label, value) of all elements of a chart."""
        elements = self.page.locator(selector).evaluate_all(
            "all => all.map(e => [e.dataset.label, Number(e.dataset.value)])"
        )
        return [(label, value) for label, value in elements]

    def violations(self) -> list[str]:
        """Return the violations that axe-core finds in the current page."""
        # The Content-Security-Policy of the page forbids to add axe-core as a script element.
        self.page.evaluate(AXE.read_text())
        response: dict[str, Any] = self.page.evaluate(
            "standards => axe.run(document, {runOnly: standards, resultTypes: ['violations']})", _STANDARDS
        )
        return [
            f"{violation['id']}: {node['html'][:160]} ({node['failureSummary']})"
            for violation in response["violations"]
            for node in violation["nodes"]
        ]


@contextmanager
def visiting(browser: Browser, url: str, hosts: Collection[str] = (), **options: Any) -> Iterator[Visit]:
    """Open a new tab. At the end, check that the tab had no errors, and that it sent requests only to the URL's host
    and to `hosts`."""
    context: BrowserContext = browser.new_context(**{"viewport": WIDE, **options})
    try:
        visit = Visit(context.new_page(), url)
        yield visit
        assert visit.troubles == []
        assert visit.hosts <= {urlsplit(url).netloc, *hosts}
    finally:
        context.close()
