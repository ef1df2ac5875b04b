"""The page as people use it, in a real browser: every control, every panel, links, keys, phones, and nothing from outside."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser

from retmech import cli
from retmech.report.blocks import blocks_of, decode, encode
from retmech.report.page import render
from tests.browser.conftest import Watched, watch

PANELS = (
    "response",
    "channels",
    "channel",
    "reduced",
    "circuit",
    "readouts",
    "factors",
    "truth",
    "consensus",
    "tests",
    "measures",
    "prediction",
    "recording",
    "training",
)
RUN = "bn_cnn/seed1"
MAIN = "#response .plot"


@pytest.fixture(scope="session")
def page_of_one(finished: Path) -> Path:
    return finished / "results/tiny/report.html"


@pytest.fixture(scope="session")
def page_of_two(page_of_one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two recordings, the second of which is the first under another name."""
    blocks = blocks_of(page_of_one.read_text("utf-8"), str(page_of_one))
    other = {name.replace("tiny", "other", 1): text for name, text in blocks.items()}
    other["other"] = encode(decode(blocks["tiny"]) | {"name": "other"})
    folder = tmp_path_factory.mktemp("two")
    paths = {"tiny": page_of_one, "other": folder / "other.html"}
    paths["other"].write_text(render(other), encoding="utf-8")
    arguments = ["--pages", *(f"{name}={path}" for name, path in paths.items()), "--output", str(folder / "all.html")]
    assert cli.main(["gather", *arguments]) == 0
    return folder / "all.html"


def test_every_panel_is_drawn(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one)
    for panel in PANELS:
        watched.see(panel)
        drawn = watched.page.locator(f"#{panel} :is(.main-svg, svg, canvas, table):visible").first
        box = drawn.bounding_box()
        assert box is not None, panel
        assert min(box["width"], box["height"]) > 10, panel
    assert watched.page.locator("#interneurons").is_hidden()  # none were recorded
    assert "NaN" not in watched.page.locator("main").inner_text()


def test_the_first_screen_says_what_was_found_what_failed_and_what_to_doubt(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one)
    text = watched.page.locator("article.summary").inner_text()
    places = [text.index(heading) for heading in ("What was found", "What failed", "What to doubt")]
    assert places == sorted(places)
    lines = watched.page.locator("article.summary li")
    assert all(line.strip().endswith(".") for line in lines.all_text_contents())
    shown = watched.page.locator("article.summary li:visible").count()
    assert 6 <= shown <= 14
    for more in watched.page.locator("article.summary summary").all():
        more.click()
    assert watched.page.locator("article.summary li:visible").count() == lines.count() >= shown


CONTROLS = {
    "set-seed": "seed2",
    "set-cell": "cell02",
    "set-probe": "motion_anticipation",
    "set-beside": "bn_cnn/seed2",
    "set-condition": "1",
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_what_is_drawn_and_the_address(control: str, watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one, "#probe=omitted_flash&cell=cell01&condition=period+80+ms")
    before, address = watched.traces(MAIN), watched.state()
    watched.choose(control, CONTROLS[control])
    assert watched.traces(MAIN) != before
    name = control.removeprefix("set-")
    assert watched.state()[name] != address.get(name)
    again = watched.page.url
    after = watched.traces(MAIN)
    watched.open(page_of_one, "#" + again.partition("#")[2])
    assert watched.traces(MAIN) == after  # the link shows the same


def test_what_is_drawn_is_what_stands_in_the_files(watched: Watched, page_of_one: Path) -> None:
    folder = page_of_one.parent / RUN
    file = xr.open_dataset(folder / "attributions/omitted_flash.nc")
    watched.open(page_of_one, "#probe=omitted_flash&cell=cell02&condition=period+120+ms&seed=seed1")
    own = file.sel(cell="cell02", condition="period 120 ms")
    net = (own["excitation"] + own["suppression"]).transpose("channel", "time").values
    step = float(abs(file["excitation"] + file["suppression"]).max()) / 16000
    traces = watched.traces(MAIN)
    rate = next(np.array(t["y"]) for t in traces if t["name"] == "rate")
    np.testing.assert_allclose(rate, own["response"].values, atol=float(abs(file["response"]).max()) / 16000)
    for c, channel in enumerate(own["channel"].values):
        parts = [np.array(t["y"]) for t in traces if t["name"] == channel]
        assert len(parts) == 2
        np.testing.assert_allclose(parts[0] + parts[1], net[c], atol=step)


def test_the_rebuilt_response_is_as_faithful_as_the_circuit_file_says(watched: Watched, page_of_one: Path) -> None:
    circuit = xr.open_dataset(page_of_one.parent / RUN / "circuit.nc")
    watched.open(page_of_one, "#probe=omitted_flash&cell=cell01&seed=seed1")
    watched.see("reduced")
    for by in ("greedy", "attribution", "factor"):
        watched.choose("by", by)
        for kept in (1, 2, 3):
            watched.choose("kept", str(kept))
            star = next(t for t in watched.traces("#reduced .curve") if t["name"] == "kept now")
            expected = circuit["correlation"].sel(selection=by, probe="omitted_flash", cell="cell01", kept=kept)
            assert star["x"] == [kept]
            assert star["y"][0] == pytest.approx(float(expected), abs=2e-3)


def test_channels_are_kept_one_by_one(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one, "#kept=ch1+ch2+ch3")
    watched.see("reduced")
    watched.page.locator("#chips button", has_text="ch2").click()
    watched.settle()
    assert watched.state()["kept"] == "ch1 ch3"
    watched.see("circuit")
    first = watched.page.locator("#circuit figure").first
    assert first.locator("text.bold").all_text_contents() == ["ch1", "ch3"]
    watched.see("reduced")
    watched.page.locator("#chips button", has_text="the circuit").click()
    watched.settle()
    assert "kept" not in watched.state()


LARGEST_AREA = """e => {
  const up = e.data.filter(t => t.stackgroup?.startsWith("up")), parts = up.slice(1);
  let [most, c, i] = [0, 0, 0];
  parts.forEach((t, k) => t.y.forEach((v, j) => { if (v > most) [most, c, i] = [v, k, j]; }));
  const middle = up[0].y[i] + parts.slice(0, c).reduce((s, t) => s + t.y[i], 0) + most / 2;
  const box = e.getBoundingClientRect(), {xaxis, yaxis} = e._fullLayout;
  return [parts[c].name, box.left + xaxis._offset + xaxis.d2p(up[0].x[i]), box.top + yaxis._offset + yaxis.d2p(middle)];
}"""


def test_pointing_at_an_area_shows_its_channel(watched: Watched, page_of_one: Path) -> None:
    name, _, _ = watched.open(page_of_one, "#probe=omitted_flash&cell=cell01").page.locator(MAIN).evaluate(LARGEST_AREA)
    other = "ch1" if name != "ch1" else "ch2"
    watched.open(page_of_one, f"#probe=omitted_flash&cell=cell01&channel={other}")
    watched.see("response")
    _, x, y = watched.page.locator(MAIN).evaluate(LARGEST_AREA)
    watched.page.mouse.move(x - 40, y)
    watched.page.mouse.move(x, y, steps=4)
    watched.settle()
    assert watched.state()["channel"] == name
    watched.see("channel")
    assert watched.page.locator("#channel .says").inner_text().startswith(f"{name} is O")


def test_keys_do_what_the_controls_do(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one, "#probe=latency&cell=cell01&seed=seed1")
    for key, name in (("s", "seed"), ("c", "cell"), ("p", "probe"), ("b", "beside"), (".", "condition")):
        before = watched.state()
        watched.page.keyboard.press(key)
        watched.settle()
        assert watched.state().get(name) != before.get(name), key
    watched.page.keyboard.press("Shift+C")
    watched.settle()
    assert watched.state()["cell"] == "cell01"
    watched.page.keyboard.press("?")
    assert watched.page.locator("dialog[open]").is_visible()
    watched.page.keyboard.press("Escape")
    reached = []
    for _ in range(12):
        watched.page.keyboard.press("Tab")
        reached.append(watched.page.evaluate("document.activeElement.id"))
    assert {"set-model", "set-seed", "set-cell", "set-probe", "set-beside", "set-condition"} <= set(reached)


def test_panels_have_controls_of_their_own(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one, "#probe=omitted_flash")
    for panel, control, plot in (
        ("readouts", "readout", "#readouts .plot"),
        ("prediction", "stimulus", "#prediction .rates"),
        ("tests", "frame", "#tests .plot"),
    ):
        watched.see(panel)
        before = watched.traces(plot), watched.state()
        value = "1" if control == "frame" else watched.options(control)[-1]
        watched.choose(control, value)
        assert watched.state()[control] == value
        assert (watched.traces(plot), watched.state()) != before


def test_two_recordings_on_one_page(watched: Watched, page_of_two: Path) -> None:
    watched.open(page_of_two)
    assert watched.options("set-recording") == ["tiny", "other"]
    watched.choose("set-recording", "other")
    assert watched.page.locator('article[data-recording="other"]').is_visible()
    assert watched.page.locator('article[data-recording="tiny"]').is_hidden()
    watched.page.locator("table a", has_text="tiny").first.click()
    watched.settle()
    assert watched.state()["recording"] == "tiny"
    watched.page.keyboard.press("r")
    watched.settle()
    assert watched.state()["recording"] == "other"


def test_a_wrong_address_shows_what_there_is(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one, "#recording=none&probe=nothing&cell=cell99&condition=x&kept=ch77&frame=-3&by=luck&beside=moon")
    assert watched.state()["cell"].startswith("cell0")
    for panel in PANELS:
        watched.see(panel)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(theme: str, browser: Browser, page_of_one: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    watched = watch(page).open(page_of_one)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    colours = page.evaluate(
        """() => ["--ink", "--muted", "--accent", "--paper"].map(
             name => getComputedStyle(document.documentElement).getPropertyValue(name).trim())"""
    )
    for colour in colours[:3]:
        assert contrast(colour, colours[3]) >= 4.5, colour
    page.locator("#theme").click()
    watched.settle()
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    assert watched.complaints == []
    page.close()


def contrast(a: str, b: str) -> float:
    """Contrast of two colours by the Web Content Accessibility Guidelines."""
    levels = []
    for colour in (a, b):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        levels.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, page_of_two: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    watched = watch(page).open(page_of_two, "#beside=bn_cnn/seed2")
    for panel in PANELS:
        watched.see(panel)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.complaints == []
    page.close()


def test_everything_has_a_name_for_those_who_cannot_see_it(watched: Watched, page_of_one: Path) -> None:
    watched.open(page_of_one)
    unnamed = watched.page.evaluate(
        """() => [...document.querySelectorAll("select, input, button, canvas[role], [role=img]")]
             .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert unnamed == []


def test_recorded_interneurons_have_a_panel_where_there_are_any(watched: Watched, page_of_one: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page_of_one.read_text("utf-8"), str(page_of_one))
    found = {
        "text": ["Correlation with the 2 bipolar cells."],
        "neurons": ["b.1", "b.2"],
        "columns": ["ch1", "ch2", "factor1"],
        "correlation": [[0.5, -0.2, 0.1], [0.1, 0.9, None]],
        "best": ["ch1", "ch2"],
        "sets": ["bipolars"],
        "levels": ["channel", "factor"],
        "mean": [[0.7], [0.3]],
        "null": [[[0.1, 0.2, 0.3]], [[0.1, 0.2, None]]],
    }
    run = decode(blocks[f"tiny/run/{RUN}"]) | {"interneurons": found}
    (tmp_path / "page.html").write_text(render(blocks | {f"tiny/run/{RUN}": encode(run)}), encoding="utf-8")
    watched.open(tmp_path / "page.html", "#seed=seed1")
    watched.see("interneurons")
    assert watched.traces("#interneurons .plot")[0]["y"] == ["b.1", "b.2"]
    assert "bipolars" in watched.page.locator("#interneurons table").inner_text()
    watched.choose("set-seed", "seed2")
    assert watched.page.locator("#interneurons").is_hidden()


def test_one_seed_has_nothing_to_be_matched_with(watched: Watched, page_of_one: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page_of_one.read_text("utf-8"), str(page_of_one))
    found = decode(blocks["tiny/consensus/bn_cnn"])
    for key in ("runs", "cell_type", "share"):
        found[key] = found[key][:1]
    for item in ("channel", "factor"):
        found[item] |= {"p_value": [[None]], "similarity": [[[None]]], "null": [[[None]]] * 3}
    overview = decode(blocks["tiny"])
    overview["runs"] = [run for run in overview["runs"] if run["name"] != "bn_cnn/seed2"]
    blocks |= {"tiny/consensus/bn_cnn": encode(found), "tiny": encode(overview)}
    (tmp_path / "page.html").write_text(render(blocks), encoding="utf-8")
    watched.open(tmp_path / "page.html")
    watched.see("consensus")
    assert watched.page.locator("#consensus .pairs").is_hidden()
    assert watched.page.locator("#consensus .types .main-svg").first.is_visible()


def test_a_study_of_baselines_shows_what_there_is(watched: Watched, page_of_one: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page_of_one.read_text("utf-8"), str(page_of_one))
    overview = decode(blocks["tiny"])
    overview["runs"] = [run for run in overview["runs"] if not run["explained"]]
    kept = {name: text for name, text in blocks.items() if "/run/" not in name and "/consensus/" not in name}
    (tmp_path / "page.html").write_text(render(kept | {"tiny": encode(overview)}), encoding="utf-8")
    watched.open(tmp_path / "page.html")
    for panel in ("prediction", "recording", "training", "readouts"):
        watched.see(panel)
        assert watched.page.locator(f"#{panel} .main-svg").first.is_visible()
    assert watched.page.locator("#response").is_hidden()


def test_names_from_files_are_text_and_nothing_else(watched: Watched, page_of_one: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page_of_one.read_text("utf-8"), str(page_of_one))
    overview = decode(blocks["tiny"])
    hostile = "</script><img src=x onerror=document.body.remove()>"
    overview |= {"cells": [hostile, "cell02"], "start": overview["start"] | {"cell": hostile}}
    overview["summary"]["found"][0] = hostile
    (tmp_path / "hostile.html").write_text(render(blocks | {"tiny": encode(overview)}), encoding="utf-8")
    watched.open(tmp_path / "hostile.html")
    assert hostile in watched.options("set-cell")
    assert watched.page.locator("article li").first.inner_text() == hostile
    assert watched.page.locator("img").count() == 0
