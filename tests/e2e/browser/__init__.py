"""A real browser on the deployed dashboard: Debian's Chromium, driven by Playwright, judged by axe-core.

`make browser` installs what is missing. Where it is not installed these tests are skipped, unless HIREFLOW_BROWSER is
`required`, as it is in continuous integration.
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
# Without the last four it would call its maker's servers.
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
    """The browser's; skips (or fails) the test where there is none, or no axe-core."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    missing = [name for name, there in (("Chromium", found), ("axe-core", AXE.exists())) if not there]
    if missing:
        say = pytest.fail if os.environ.get("HIREFLOW_BROWSER") == "required" else pytest.skip
        say(f"{' and '.join(missing)} not installed: `make browser` does that")
    return str(found)


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
    """One person's tab: what it saw, and that nothing went wrong in it."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    expected: list[str] = field(default_factory=list)  # parts of console errors that a test provokes

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
        """Go to a panel as by its link, and wait until it is there."""
        self.page.goto(f"{self.url}/#/{panel}")
        self.settled()

    def settled(self) -> None:
        self.page.locator('#panel[aria-busy="false"]').wait_for(state="attached")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def values(self, selector: str) -> list[tuple[str, int]]:
        """(label, value) of a chart's elements."""
        found = self.page.locator(selector).evaluate_all(
            "all => all.map(e => [e.dataset.label, Number(e.dataset.value)])"
        )
        return [(label, value) for label, value in found]

    def violations(self) -> list[str]:
        """What axe-core has to say about the page as it is."""
        self.page.evaluate(AXE.read_text())  # a script element would be against the page's policy
        response: dict[str, Any] = self.page.evaluate(
            "standards => axe.run(document, {runOnly: standards, resultTypes: ['violations']})", _STANDARDS
        )
        return [
            f"{found['id']}: {node['html'][:160]} ({node['failureSummary']})"
            for found in response["violations"]
            for node in found["nodes"]
        ]


@contextmanager
def visiting(browser: Browser, url: str, hosts: Collection[str] = (), **options: Any) -> Iterator[Visit]:
    """A tab of its own; whatever it reports, and every host it asked besides `hosts`, is judged at the end."""
    context: BrowserContext = browser.new_context(**{"viewport": WIDE, **options})
    try:
        visit = Visit(context.new_page(), url)
        yield visit
        assert visit.troubles == []
        assert visit.hosts <= {urlsplit(url).netloc, *hosts}
    finally:
        context.close()
