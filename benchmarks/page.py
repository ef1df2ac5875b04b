"""How fast the page opens and follows its controls, in a browser: the demo's, and one of 3 recordings x 3 seeds x 12 probes.

The large page is the demo's data over and over, under other names: what a browser has to read and draw is the same as if
they were different. Needs Chromium and finished results of the demo (``make run``). There is no peer that does the
same: the numbers stand beside what is asked of the page, 3 s to open and 200 ms to follow a control.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.compare import Comparison, save
from retmech.report.blocks import blocks_of, decode, encode
from retmech.report.page import render
from tests.browser.chromium import launch

DEMO = Path("results/insilico/report.html")
RECORDINGS, SEEDS, PROBES = 3, 3, 12
ROUNDS = 5
ASKED_OPEN, ASKED_CONTROL = 3.0, 200.0  # s, ms

# Changes a control as a user does, and tells how long it takes until everything in sight is drawn and painted.
FOLLOW = """async ([id, value]) => {
  const control = document.getElementById(id);
  const before = performance.now();
  control.value = value;
  control.dispatchEvent(new Event(control.tagName === "SELECT" ? "change" : "input", {bubbles: true}));
  while (document.body.dataset.busy === "true") await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - before;
}"""


def multiplied(blocks: dict[str, str]) -> dict[str, str]:
    """The blocks of a recording as those of several, each with more seeds and probes."""
    (name,) = [key for key in blocks if "/" not in key]
    overview = decode(blocks[name])
    model = next(run["model"] for run in overview["runs"] if run["explained"])
    known = [p["name"] for p in overview["probes"]]
    probes = {f"probe{i + 1:02d}": known[i % len(known)] for i in range(PROBES)}
    seeds = {f"seed{i + 1}": f"seed{i % 2 + 1}" for i in range(SEEDS)}
    found: dict[str, str] = {}
    for recording in (f"recording{i + 1}" for i in range(RECORDINGS)):
        runs = [{"name": f"{model}/{seed}", "model": model, "seed": seed, "explained": True} for seed in seeds]
        runs += [run for run in overview["runs"] if not run["explained"]]
        listed = [{"name": p, "conditions": 1} for p in probes]
        found[recording] = encode(
            overview | {"name": recording, "runs": runs, "probes": listed, "start": overview["start"] | {"probe": "probe01"}}
        )
        found[f"{recording}/prediction"] = blocks[f"{name}/prediction"]
        found[f"{recording}/consensus/{model}"] = blocks[f"{name}/consensus/{model}"]
        found |= {f"{recording}/probe/{new}": blocks[f"{name}/probe/{old}"] for new, old in probes.items()}
        for seed, old_seed in seeds.items():
            run = decode(blocks[f"{name}/run/{model}/{old_seed}"])
            run |= {"probes": list(probes)}
            for key in ("strength", "effect", "share"):
                run["channels"][key] = [run["channels"][key][known.index(old)] for old in probes.values()]
            for key, curve in run["curves"].items():
                own = [[q[known.index(old)] for old in probes.values()] for q in curve] if key == "random" else None
                run["curves"][key] = own or [curve[known.index(old)] for old in probes.values()]
            if run["recovery"]:
                run["recovery"] |= {"probes": list(probes)}
                for key in ("pathway_of_channel", "correlation"):
                    run["recovery"][key] = [run["recovery"][key][known.index(old)] for old in probes.values()]
            found[f"{recording}/run/{model}/{seed}"] = encode(run)
            for new, old in probes.items():
                found[f"{recording}/run/{model}/{seed}/{new}"] = blocks[f"{name}/run/{model}/{old_seed}/{old}"]
    return found


def opened(page: Page, path: Path) -> float:
    """Seconds until the first panels stand."""
    before = time.perf_counter()
    page.goto(f"{path.resolve().as_uri()}#beside=simulated+retina")
    page.wait_for_selector("#response .main-svg")
    page.wait_for_function("document.body.dataset.busy === 'false'")
    return time.perf_counter() - before


def followed(page: Page) -> dict[str, float]:
    """Median milliseconds that each control takes, over all its values in turn."""
    found = {}
    for control in ("set-condition", "set-cell", "set-probe", "set-seed", "set-beside", "kept"):
        page.locator(f"#{control}").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        found[control] = statistics.median(page.evaluate(FOLLOW, [control, value]) for value in _values(page, control) * 2)
    return found


def _values(page: Page, control: str) -> list[str]:
    script = "id => { const c = document.getElementById(id); return c.options ? [...c.options].map(o => o.value) : "
    script += "Array.from({length: Number(c.max) + 1}, (_, i) => String(i)).slice(0, 9); }"
    values: list[str] = page.evaluate(script, control)
    return values[::-1]


def measure(blocks: dict[str, str], name: str, folder: Path) -> list[Comparison]:
    """Open a page several times, each time in a new browser, and use its controls once."""
    path = folder / f"{name}.html"
    path.write_text(render(blocks), encoding="utf-8")
    times, controls = [], {}
    with sync_playwright() as playwright:
        for _ in range(ROUNDS):
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            times.append(opened(page, path))
            controls = controls or followed(page)
            browser.close()
    config = {"megabytes": round(path.stat().st_size / 1e6, 1)} | {key: round(value) for key, value in controls.items()}
    opening, slowest = statistics.median(times), max(controls.values())
    return [
        Comparison(f"page_{name}_open", ASKED_OPEN / opening, opening, ASKED_OPEN, "s", config),
        Comparison(f"page_{name}_control", ASKED_CONTROL / slowest, slowest, ASKED_CONTROL, "ms", config),
    ]


def main() -> None:
    """Measure both pages."""
    if not DEMO.exists():
        sys.exit(f"{DEMO}: not found; run `make run` first.")
    blocks = blocks_of(DEMO.read_text("utf-8"), str(DEMO))
    with tempfile.TemporaryDirectory() as folder:
        both = (("demo", blocks), ("3x3x12", multiplied(blocks)))
        save([result for name, own in both for result in measure(own, name, Path(folder))])


if __name__ == "__main__":
    main()
