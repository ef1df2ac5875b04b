"""What is known of the truth, for simulated recordings: true pathways beside the channels that stand for them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.reduction.matrix import channel_attribution
from retmech.report.page import Picture, Section, Table
from retmech.report.probes import example_condition
from retmech.report.style import GREY, colour, embed
from retmech.study import Run, Study

TRUTH = "simulated retina"
WEAK = 0.8  # correlation of responses below which the model is said not to capture the retina


def section(study: Study, name: str, run: Run, with_parts: bool) -> Section:
    """Everything about how well one model's mechanism is the retina's own; the single parts are drawn if asked."""
    recovery = run.recovery
    assert recovery is not None
    caption = (
        "Left: correlation of what stands for pathways with the true pathways' parts in the responses, weighted by the pathways' "
        "shares, mean over cells; what stands for what is decided for each probe by the others. Right: the same for single "
        "pathways, by groups of channels; a pathway that has less than 2 % of a response is left out."
    )
    text = (
        "true parts of the pathways in the response of the simulated retina (broad), and those of the groups of channels that "
        "stand for them (black), in the condition with the model's largest response."
    )
    pictures = [
        Picture(embed(summary(recovery)), caption),
        *(Picture(embed(parts(study, run, probe)), f"{probe}: {text}") for probe in recovery["probe"].values if with_parts),
    ]
    return Section(f"Truth, {name}", " ".join(sentences(recovery)), pictures, [_scores(recovery), _pathways(recovery)])


def sentences(recovery: xr.Dataset) -> list[str]:
    """What was recovered, and where the model is not the retina."""
    mean = {level: float(recovery["recovery"].sel(level=level).mean()) for level in recovery["level"].values}
    low, _, high = recovery["shuffled_recovery"].values
    at_random = f"; channels given to pathways at random {float(recovery['shuffled_mean']):.2f}, {low:.2f} to {high:.2f}"
    random = at_random if recovery.sizes["pathway"] > 1 else ""  # one pathway alone cannot be mistaken for another
    lines = [
        f"Groups of channels recover the true pathways with a mean correlation of {mean['group']:.2f} (single channels "
        f"{mean['channel']:.2f}, factors {mean['factor']:.2f}{random}; the same network before training "
        f"{float(recovery['untrained_recovery'].mean()):.2f})."
    ]
    response = recovery["response_correlation"].mean("cell")
    weak = [f"{probe} ({float(r):.2f})" for probe, r in zip(response["probe"].values, response.values, strict=True) if r < WEAK]
    on_average = f"The model's responses correlate with the retina's own by {float(response.mean()):.2f} on average"
    if weak:
        lines.append(f"{on_average}; it does not capture the retina (r below {WEAK:g}) on {', '.join(weak)}.")
    else:
        lines.append(f"{on_average}, at least {float(response.min()):.2f} on every probe.")
    if recovery.attrs["memory"]:
        lines.append(f"Outside the reach of a model whose first layer alone sees time: the retina's {recovery.attrs['memory']}.")
    return lines


def summary(recovery: xr.Dataset) -> Figure:
    """Recovery by probe and kind, and by pathway."""
    figure = Figure(figsize=(11, 3.2))
    left, right = figure.subplots(1, 2)
    probes = [str(probe) for probe in recovery["probe"].values]
    place = np.arange(len(probes))
    for i, level in enumerate(recovery["level"].values):
        mean = recovery["recovery"].sel(level=level).mean("cell").values
        left.bar(place + 0.25 * (i - 1), mean, 0.22, color=colour(i), label=_in_words(str(level)))
    left.plot(place, recovery["untrained_recovery"].values, "x", color="black", label="untrained network")
    low, _, high = recovery["shuffled_recovery"].values
    left.axhspan(low, high, color=GREY, alpha=0.2, lw=0, zorder=0, label="at random (95 %)")
    left.axhline(float(recovery["shuffled_mean"]), color=GREY, lw=1, ls=":", label="at random, mean")
    _finish(left, probes, "mean correlation")
    shown = recovery["correlation"].sel(level="group").where(recovery["share"] > 0.02)
    for p, pathway in enumerate(recovery["pathway"].values):
        values = shown.sel(pathway=pathway)
        for k in range(values.sizes["cell"]):
            label = str(pathway) if k == 0 else None
            right.plot(place + 0.2 * (p - 1) + 0.02 * k, values.values[:, k], "o", ms=4, color=colour(p), label=label)
    _finish(right, probes, "correlation in each cell")
    return figure


def _finish(axes: Axes, probes: list[str], text: str) -> None:
    axes.set_xticks(range(len(probes)), [probe.replace("_", "\n") for probe in probes])
    axes.axhline(0, color="black", lw=0.5)
    axes.set_ylabel(text)
    axes.set_ylim(top=1.05)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _in_words(level: str) -> str:
    return {"channel": "single channels", "group": "groups of channels", "factor": "factors"}[level]


def parts(study: Study, run: Run, probe: str) -> Figure:
    """True and recovered parts of each pathway, per cell, in one condition."""
    assert run.recovery is not None
    true = study.retinas[TRUTH].children[probe].to_dataset()
    condition = example_condition(run.responses[probe])
    group = run.recovery["pathway_of_channel"].sel(probe=probe).values
    net = channel_attribution(run.attributions[probe].to_dataset())[condition].transpose("time", "cell", "channel").values
    time, cells, pathways = true["time"].values, true["cell"].values, true["pathway"].values
    figure = Figure(figsize=(11, 0.8 + 1.3 * len(pathways)))
    grid = figure.subplots(len(pathways), len(cells), sharex=True, sharey="col", squeeze=False)
    for p, pathway in enumerate(pathways):
        for k, cell in enumerate(cells):
            axes = grid[p, k]
            axes.plot(time, true["attribution"].values[condition, :, k, p], color=colour(p), lw=3, alpha=0.5)
            axes.plot(time, net[:, k, group == pathway].sum(axis=-1), color="black", lw=0.9)
            r = float(run.recovery["correlation"].sel(level="group", probe=probe, pathway=pathway)[k])
            axes.text(0.98, 0.95, f"r = {r:.2f}", ha="right", va="top", transform=axes.transAxes, fontsize=8)
            if p == 0:
                axes.set_title(str(cell))
        grid[p, 0].set_ylabel(f"{pathway}\n(Hz)")
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    return figure


def _scores(recovery: xr.Dataset) -> Table:
    rows = []
    for probe in recovery["probe"].values:
        here = recovery.sel(probe=probe)
        by_level = [f"{float(here['recovery'].sel(level=level).mean()):.2f}" for level in ("group", "channel", "factor")]
        sign = 100 * float(here["sign_right"].where(here["share"] > 0.02).mean())
        unmatched = 100 * float(here["unmatched_share"].mean())
        response = float(here["response_correlation"].mean())
        rows.append(
            [
                str(probe),
                *by_level,
                f"{float(here['untrained_recovery']):.2f}",
                f"{sign:.0f} %",
                f"{unmatched:.0f} %",
                f"{response:.2f}",
            ]
        )
    header = [
        "probe",
        "groups",
        "single channels",
        "factors",
        "untrained",
        "sign on the cell right",
        "matches no pathway",
        "model's response and the retina's (r)",
    ]
    return Table("Recovery of the true pathways, mean over cells", header, rows)


def _pathways(recovery: xr.Dataset) -> Table:
    rows = []
    for pathway in recovery["pathway"].values:
        here = recovery.sel(pathway=pathway)
        member = (recovery["pathway_of_channel"] == pathway).mean("probe")
        channels = ", ".join(str(c) for c in recovery["channel"].values[member.values >= 0.5]) or "none"
        cosine = float(here["kernel_similarity"].mean())
        right = "yes" if float(here["polarity_right"].mean()) > 0.5 else "no"
        r = float(here["correlation"].sel(level="group").where(here["share"] > 0.02).mean())
        size = float(here["amplitude"].where(here["share"] > 0.02).median())
        rows.append([str(pathway), channels, f"{r:.2f}", f"{size:.2f}", f"{cosine:.2f}", right])
    header = [
        "pathway",
        "channels, for most probes",
        "correlation of parts",
        "size of parts, found / true (median)",
        "cosine of temporal kernels",
        "ON or OFF right",
    ]
    return Table("The true pathways and what stands for them", header, rows)
