"""Write the pages of the API reference: every module of the package, in the groups of :data:`GROUPS`."""

import importlib
import pkgutil
from pathlib import Path

from sphinx.application import Sphinx

import retmech

# Page -> what it is about, and the modules and packages on it. What is named nowhere is on the last one.
GROUPS = {
    "stages": (
        "The stages, in the order in which they run: functions from datasets and settings to a dataset.",
        ["retmech.stages"],
    ),
    "recordings": (
        "Readers of raw formats, and what is measured on a recording.",
        [
            "retmech.readers",
            "retmech.readers._clock",
            "retmech.readers._coverage",
            "retmech.readers._raw",
            "retmech.readers._timing",
            "retmech.readers._interneurons",
            *(
                f"retmech.{name}"
                for name in ("geometry", "alignment", "branch", "quality", "receptive_field", "recording", "doubts")
            ),
            *(f"retmech.{name}" for name in ("inspection", "fetch", "interneurons")),
        ],
    ),
    "insilico": ("The simulated retina.", ["retmech.insilico"]),
    "models": ("Networks, their training, and the convolution that makes it fast.", ["retmech.models"]),
    "probes": (
        "Probe stimuli and their readouts. In contrasts, 0 is grey and 1 the standard deviation of the training movie.",
        ["retmech.probes._probe", "retmech.probes", *(f"retmech.{name}" for name in ("presentations", "readouts", "ascent"))],
    ),
    "attribution": ("Path integrals from responses to interneurons.", ["retmech.attribution"]),
    "reduction": ("Factors of attributions, their number, and what seeds have in common.", ["retmech.reduction"]),
    "circuit": ("The smallest faithful circuit, its description and its truth.", ["retmech.circuit", "retmech.recovery"]),
    "files": (
        "Types of the files, and the only code that reads and writes them. In prose: :doc:`/data-model`.",
        [f"retmech.{name}" for name in ("io", "schemas", "pieces", "labels", "provenance")],
    ),
    "settings": (
        "The sections of the config. In tables: :doc:`/config`.",
        ["retmech.settings", "retmech.config", "retmech.registry"],
    ),
    "report": ("Figures and pages.", ["retmech.report"]),
    "running": ("The command line, and what a run needs besides the stages.", ["retmech"]),
}
TITLES = {"insilico": "Simulated retina", "running": "Command line and runs"}
STAGES = [
    *("simulate", "ingest", "train", "evaluate", "synthesize", "respond", "observe", "truth", "summarize"),
    *("attribute", "reduce", "consensus", "explain", "export", "recover", "compare", "report"),
]


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for them."""
    app.connect("config-inited", lambda app, _: write(Path(app.srcdir) / "api"))
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """Write a page for each group and one that lists them; files that would not change keep their dates."""
    folder.mkdir(exist_ok=True)
    pages = {name: _page(name, text, modules) for (name, (text, _)), modules in zip(GROUPS.items(), grouped(), strict=True)}
    listed = "".join(f"* :doc:`{name}`: {text}\n" for name, (text, _) in GROUPS.items())
    contents = ".. toctree::\n   :hidden:\n\n" + "".join(f"   {name}\n" for name in GROUPS)
    pages["index"] = f"{_heading('API reference')}\n{listed}\n{contents}"
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def grouped() -> list[list[str]]:
    """Return the modules of each group; each is in one of them."""
    left = list(modules())
    found = []
    for _, names in GROUPS.values():
        own = [m for name in names for m in left if m == name or (m.startswith(f"{name}.") and "._" not in m)]
        found.append(list(dict.fromkeys(own)))
        left = [m for m in left if m not in own]
    return found


def modules() -> list[str]:
    """Return the modules of the package that say what they are, stages in the order in which they run."""
    names = [found.name for found in pkgutil.walk_packages(retmech.__path__, "retmech.") if not found.ispkg]
    order = {f"retmech.stages.{stage}": i for i, stage in enumerate(STAGES)}
    return sorted(names, key=lambda name: (name.rpartition(".")[0], order.get(name, len(order)), name))


def _page(name: str, text: str, modules: list[str]) -> str:
    parts = [_heading(TITLES.get(name, name.capitalize())), text, ""]
    for module in modules:
        parts += [_heading(module.removeprefix("retmech."), "-"), f".. automodule:: {module}"]
        if not importlib.import_module(module).__doc__:
            raise ValueError(f"{module} has no docstring")
        if module == "retmech.schemas":
            parts.append("   :private-members:")
        parts.append("")
    return "\n".join(parts)


def _heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"
