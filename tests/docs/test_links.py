"""Every link within the repository leads somewhere. Those to other sites are for `make linkcheck`."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_and_images_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if link.startswith(("http://", "https://")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_table_of_contents() -> None:
    index = next(page for page in PAGES if page.name == "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.name in {"README.md", "index.md"} or f"\n{page.stem}\n" in index
