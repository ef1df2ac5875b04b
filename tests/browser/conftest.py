"""A page in a browser, watched for errors and for anything that it asks for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import PROGRAM, launch

DRAWN = "document.body.dataset.busy === 'false'"


@dataclass
class Watched:
    """A page, and what it has complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path, address: str = "") -> "Watched":
        """Open a file and wait until what is in sight is drawn."""
        self.page.goto("about:blank")
        self.page.goto(path.resolve().as_uri() + address)
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until everything in sight is drawn."""
        self.page.wait_for_timeout(100)
        self.page.wait_for_function(DRAWN)

    def see(self, panel: str) -> None:
        """Scroll to a panel."""
        self.page.locator(f"#{panel}").scroll_into_view_if_needed()
        self.settle()

    def choose(self, control: str, value: str) -> None:
        """Choose an option, or move a slider."""
        found = self.page.locator(f"#{control}")
        if found.evaluate("c => c.tagName") == "SELECT":
            found.select_option(value)
        else:
            found.evaluate("(c, v) => { c.value = v; c.dispatchEvent(new Event('input', {bubbles: true})); }", value)
        self.settle()

    def options(self, control: str) -> list[str]:
        """All values of a select."""
        values: list[str] = self.page.locator(f"#{control} option").evaluate_all("all => all.map(o => o.value)")
        return values

    def state(self) -> dict[str, str]:
        """What the address says, once it is written."""
        self.page.wait_for_timeout(250)
        found: dict[str, str] = self.page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
        return found

    def traces(self, selector: str) -> list[dict[str, Any]]:
        """What Plotly has drawn there, by name."""
        script = "e => e.data.map(t => ({name: t.name, type: t.type, x: Array.from(t.x ?? []), y: Array.from(t.y ?? []), "
        script += "xaxis: t.xaxis, yaxis: t.yaxis, stackgroup: t.stackgroup}))"
        found: list[dict[str, Any]] = self.page.locator(selector).evaluate(script)
        return found


@pytest.fixture(scope="module")  # while Playwright runs no other event loop can, such as Snakemake's
def browser() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no Chromium here: the page is not tested in a browser (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


def watch(page: Page) -> Watched:
    """Note every error and every request that leaves the page."""
    watched = Watched(page)
    page.on("console", lambda m: watched.complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda request: watched.requests.append(request.url))
    return watched


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    found = watch(page)
    yield found
    page.close()
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
