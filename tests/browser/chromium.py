"""The system's Chromium, driven by Playwright; browsers that Playwright would download are not needed."""

import shutil

from playwright.sync_api import Browser, Playwright

PROGRAM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start it without a window."""
    return playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--hide-scrollbars"])
