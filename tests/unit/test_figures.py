"""Figures as files: their tables say what is drawn, whatever it is; the same figure is the same bytes; papers' figures."""

import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from retmech import registry
from retmech.errors import FileError
from retmech.figures.diagram import Connection
from retmech.figures.files import written
from retmech.figures.mechanism import important_channels, mechanism
from retmech.figures.phenomena import PHENOMENA, clearest_cell, columns, phenomena
from retmech.figures.readouts import of_cells
from retmech.figures.style import in_words, style, with_unit
from retmech.figures.table import table
from retmech.geometry import Geometry
from retmech.labels import cell_coordinate
from retmech.outputs import write_folder
from retmech.readouts import answered
from retmech.stages.synthesize import synthesize

GEOMETRY = Geometry((8, 12), 100.0, 50.0)
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda v: round(v, 6))


def panel() -> Axes:
    with style():
        return Figure().subplots()


def drawn(axes: Axes) -> pd.DataFrame:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return table(figure)


def pairs(least: int = 2) -> st.SearchStrategy[np.ndarray]:
    return st.integers(least, 8).flatmap(lambda n: arrays(np.float64, (3, n), elements=NUMBERS, unique=True))


@given(values=pairs())
@settings(max_examples=30, deadline=None)
def test_lines_points_and_error_bars(values: np.ndarray) -> None:
    x, y, error = np.sort(values[0]), values[1], np.abs(values[2])
    axes = panel()
    axes.plot(x, y, label="line")
    axes.plot(x, y, "o", label="dots")
    axes.errorbar(x, y, error, capsize=2, fmt="s-", label="measured")
    axes.scatter(x, y, c=error, label="shaded")
    found = drawn(axes)
    assert set(map(tuple, found[["series", "kind"]].drop_duplicates().values)) == {
        ("line", "line"),
        ("dots", "points"),
        ("measured", "line"),
        ("measured", "errorbar"),
        ("shaded", "points"),
    }
    for name in ("line", "dots", "shaded"):
        own = found[found.series == name]
        np.testing.assert_array_equal(own[["x", "y"]].values, np.stack([x, y], axis=1))
    np.testing.assert_array_equal(found[found.series == "shaded"].value, error)
    bars = found[found.kind == "errorbar"]
    np.testing.assert_allclose(
        bars[["x", "y", "x_end", "y_end"]].values, np.stack([x, y - error, x, y + error], axis=1), atol=1e-9
    )


@given(values=pairs())
@settings(max_examples=30, deadline=None)
def test_bands_bars_segments_spans_and_references(values: np.ndarray) -> None:
    x, low, high = np.sort(values[0]), values[1], values[2]
    axes = panel()
    axes.fill_between(x, low, high, label="band")
    axes.fill_betweenx(x, low, high, label="sideways")
    place = np.arange(len(x))
    axes.bar(place, high, bottom=low, label="up")
    axes.barh(place, high, label="along")
    axes.hlines(place, low, high, label="interval")
    axes.vlines(place, low, high, label="upright")
    axes.axhspan(1, 2, label="range")
    axes.axvspan(3, 4, label="when")
    axes.axhline(5, label="level")
    axes.axvline(6, label="moment")
    by = {str(name): own for name, own in drawn(axes).groupby("series", sort=False)}
    edges = np.sort(np.stack([low, high]), axis=0)
    np.testing.assert_array_equal(by["band"].x, x)
    np.testing.assert_array_equal(np.sort(by["band"][["y", "y_end"]].values), edges.T)
    np.testing.assert_array_equal(by["sideways"].y, x)
    np.testing.assert_array_equal(np.sort(by["sideways"][["x", "x_end"]].values), edges.T)
    np.testing.assert_allclose(by["up"][["x", "y", "y_end"]].values, np.stack([place, low, low + high], axis=1), atol=1e-9)
    np.testing.assert_allclose(by["along"][["y", "x", "x_end"]].values, np.stack([place, 0 * high, high], axis=1), atol=1e-9)
    np.testing.assert_array_equal(by["interval"][["y", "x", "x_end"]].values, np.stack([place, low, high], axis=1))
    np.testing.assert_array_equal(by["upright"][["x", "y", "y_end"]].values, np.stack([place, low, high], axis=1))
    assert by["range"][["y", "y_end"]].values.tolist() == [[1, 2]]
    assert by["when"][["x", "x_end"]].values.tolist() == [[3, 4]]
    assert by["level"].y.tolist() == [5]
    assert by["level"].x.isna().all()
    assert by["moment"].x.tolist() == [6]
    kinds = {name: own.kind.unique().tolist() for name, own in by.items()}
    assert kinds == {
        "band": ["band"],
        "sideways": ["band"],
        "up": ["bar"],
        "along": ["horizontal bar"],
        "interval": ["segment"],
        "upright": ["segment"],
        "range": ["span"],
        "when": ["span"],
        "level": ["reference"],
        "moment": ["reference"],
    }


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_images_have_the_places_of_their_pixels(origin: str) -> None:
    axes = panel()
    values = np.arange(6.0).reshape(2, 3)
    image = axes.imshow(values, origin=origin, extent=(0, 3, 10, 14), label="map")  # type: ignore[arg-type]
    axes.figure.colorbar(image)
    found = drawn(axes)
    assert (found.kind == "image").all()
    rows = {"upper": [13, 11], "lower": [11, 13]}[origin]
    whole = found.pivot_table(index="y", columns="x", values="value").loc[rows]
    np.testing.assert_array_equal(whole.values, values)
    assert whole.columns.tolist() == [0.5, 1.5, 2.5]


def test_panels_labels_names_and_texts() -> None:
    with style():
        figure = Figure()
        left, right = figure.subplots(1, 2)
    left.set_label("a")
    left.bar([0.1, 1.1], [3, 4])
    left.set_xticks([0, 1], ["omitted\nflash", "latency"])
    left.set(xlabel="probe", ylabel="rate\n(Hz)", title="responses")
    right.text(0.5, 0.5, "no response")
    right.add_line(Connection((0, 0), (1, 1), 2.5, 5.0, False, "ch1 to cell01"))
    right.plot([1, 2], [3, 4], label="line")
    found = table(figure)
    bars, rest = found[found.panel == "a"], found[found.panel == "2"]
    assert bars.x_name.tolist() == ["omitted flash", "latency"]
    assert bars[["title", "x_label", "y_label", "series"]].drop_duplicates().values.tolist() == [
        ["responses", "probe", "rate (Hz)", "rate (Hz)"]
    ]
    assert set(rest.kind) == {"text", "connection", "line"}
    connection = rest[rest.kind == "connection"].iloc[0]
    assert (connection.series, connection.value) == ("ch1 to cell01, inhibitory", 2.5)


def test_what_the_table_does_not_know_is_an_error_and_no_gap() -> None:
    def of_patch(axes: Axes) -> None:
        axes.add_patch(Circle((0, 0), 1))

    def of_mesh(axes: Axes) -> None:
        axes.pcolormesh(np.zeros((2, 2)))

    def of_stairs(axes: Axes) -> None:
        axes.stairs([1, 2, 3])

    def of_colours(axes: Axes) -> None:
        axes.imshow(np.zeros((2, 2, 3)))

    def of_stems(axes: Axes) -> None:
        axes.stem([1, 2, 3])

    def beside(axes: Axes) -> None:
        axes.figure.add_artist(Circle((0, 0), 1))

    for draw in (of_patch, of_mesh, of_stairs, of_colours, of_stems, beside):
        axes = panel()
        draw(axes)
        with pytest.raises(TypeError, match=r"not know|not of values|not known"):
            drawn(axes)


def test_the_same_figure_is_the_same_bytes_with_letters_that_stay_letters() -> None:
    def figure() -> Figure:
        with style():
            made = Figure(figsize=(3, 2))
            axes = made.subplots()
            axes.plot([0, 1], [2, 3], label="a line")
            axes.fill_between([0, 1], [0, 1], [1, 2], alpha=0.5, hatch="//", label="a band")
            axes.imshow(np.eye(3), extent=(0, 1, 0, 1))
            axes.set_xlabel("position (µm)")
            axes.legend()
        return made

    first, second = written(figure(), "name"), written(figure(), "name")
    assert list(first) == ["name.pdf", "name.svg", "name.csv"]
    assert first == second
    pdf, svg, csv = first.values()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert b"a line</text>" in svg
    assert b"<dc:date>" not in svg
    assert "position (µm)" in csv.decode()
    pd.testing.assert_frame_equal(
        pd.read_csv(BytesIO(csv), dtype={"panel": str})[["x", "y"]],
        table(figure())[["x", "y"]],
        rtol=1e-5,
    )


SHARED = """
import hashlib
from matplotlib.figure import Figure
from retmech.figures.files import written
from retmech.figures.style import style
with style():
    figure = Figure(figsize=(7, 6.5))
    for i, axes in enumerate(figure.subplots(5, 2, sharex=True).flat):
        axes.plot([0, 1], [2, 30 ** i], label=f"line {i}")
        axes.set_ylabel(f"cell {i}")
    figure.suptitle("title", x=0.01, ha="left")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left")
print([hashlib.sha256(content).hexdigest() for content in written(figure, "name").values()])
"""


def test_the_bytes_do_not_depend_on_the_order_in_which_python_hashes() -> None:
    made = {
        subprocess.run(
            [sys.executable, "-c", SHARED], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1


def test_units_are_printed_as_people_write_them() -> None:
    assert in_words("reversal at -150 um") == "reversal at -150 µm"
    assert with_unit("speed", "um/s") == "speed (µm/s)"
    assert with_unit("ratio", "1") == "ratio"


def of_kind(kind: str) -> xr.Dataset:
    return synthesize(GEOMETRY, registry.load("probe", kind).Config(), kind).gather().to_dataset()


def of_nobody(probe: xr.Dataset, seed: int = 1) -> xr.Dataset:
    """Responses of two cells, smooth and at random."""
    rng = np.random.default_rng(seed)
    shape = (probe.sizes["condition"], probe.sizes["time"], 2)
    rate = 5 + 20 * np.convolve(rng.random(np.prod(shape)), np.ones(5) / 5, "same").reshape(shape)
    return answered(probe, rate.astype(np.float32), cell_coordinate(["cell01", "cell02"]))


@pytest.fixture(scope="module")
def probes() -> dict[str, xr.Dataset]:
    return {kind: of_kind(kind) for kind in (*PHENOMENA, "step")}


def test_phenomena_have_a_column_each_and_all_retinas_beside_the_model(probes: dict[str, xr.Dataset]) -> None:
    names = ("net/seed1", "net/seed2", "simulated retina")
    responses = {name: {kind: of_nobody(p, i) for kind, p in probes.items()} for i, name in enumerate(names)}
    responses["recorded retina"] = {"latency": of_nobody(probes["latency"], 9)}
    with style():
        figure = phenomena(probes, responses, "net/seed1")
    found = table(figure)
    assert list(found.panel.unique()) == list("abcdefghijkl")
    readout = found[(found.panel == "j") & found.kind.isin(["line", "points"])]
    assert set(responses) <= set(readout.series)
    own = responses["net/seed1"]
    cell = clearest_cell({kind: own[kind] for kind in PHENOMENA})
    latency = own["latency"]["peak_latency"].values[:, cell]
    drawn_latency = readout[readout.series == "net/seed1"].y.values
    np.testing.assert_allclose(np.sort(drawn_latency), np.sort(1e3 * latency[np.isfinite(latency)]))
    assert "found in retinas: slope 1" in set(found[found.panel == "i"].series)


def test_phenomena_of_the_probes_that_there_are(probes: dict[str, xr.Dataset]) -> None:
    some = {"mine": probes["motion_anticipation"], "again": probes["motion_anticipation"], "step": probes["step"]}
    assert list(columns(some)) == ["mine"]
    responses = {"net/seed1": {name: of_nobody(probe) for name, probe in some.items()}}
    with style():
        files = written(phenomena(some, responses, "net/seed1"), "phenomena")
    assert len(files) == 3
    assert columns({"step": probes["step"]}) == {}


def test_readouts_stand_beside_each_other(probes: dict[str, xr.Dataset]) -> None:
    responses = {"net/seed1": of_nobody(probes["omitted_flash"]), "simulated retina": of_nobody(probes["omitted_flash"], 2)}
    with style():
        found = table(of_cells(responses))
    slopes = found[(found.y_label == "slope") & (found.kind == "points") & (found.series == "net/seed1")]
    known = responses["net/seed1"]["slope"].values
    np.testing.assert_allclose(slopes.y, known[np.isfinite(known)])
    assert found[found.series == "expected"].y.tolist() == [1.0]


def taken_apart(response: xr.Dataset) -> tuple[xr.Dataset, xr.DataTree]:
    """Attributions of a response to three channels, and a circuit of two of them; the second inhibits."""
    rate = response["rate"].values.astype(np.float64)
    share = np.array([0.7, -0.2, 0.5])
    net = (rate - 5)[..., None] * share
    dims = ("condition", "time", "cell")
    coords = {"channel": ["ch1", "ch2", "ch3"], "cell": response["cell"], "time": response["time"]}
    coords |= {"condition": response["condition"]}
    attributions = xr.Dataset(
        {
            "excitation": ((*dims, "channel"), net.clip(min=0)),
            "suppression": ((*dims, "channel"), net.clip(max=0)),
            "response": (dims, rate),
            "baseline_response": (dims, np.full(rate.shape, 5.0)),
        },
        coords=coords,
    )
    root = xr.Dataset(
        {
            "strength": (("probe", "cell", "channel"), np.array([[[3.0, 1.0, 2.0], [4.0, 2.0, 1.0]]])),
            "effect": (("probe", "cell", "channel"), np.array([[[1.0, -1.0, 1.0]] * 2])),
            "in_circuit": ("channel", [1, 1, 0]),
            "circuit_correlation": (("probe", "candidate", "cell"), np.full((1, 1, 2), 0.9)),
            "spatial_filter": (("channel", "kernel_y", "kernel_x"), np.ones((3, 3, 3))),
            "temporal_filter": (("channel", "lag"), np.linspace(-1, 1, 12).reshape(3, 4)),
            "polarity": ("channel", [1, -1, 1]),
            "time_to_peak": ("channel", [0.05, 0.1, 0.2]),
            "biphasic_index": ("channel", [0.1, 0.4, 0.0]),
        },
        coords={
            "probe": ["latency"],
            "cell": response["cell"],
            "channel": coords["channel"],
            "candidate": ["circuit"],
            "lag": [0.03, 0.02, 0.01, 0.0],
            "kernel_y": [-50.0, 0.0, 50.0],
            "kernel_x": [-50.0, 0.0, 50.0],
        },
    )
    reduced = xr.Dataset({"reduced_rate": (("candidate", *dims), rate[None])}, coords={"candidate": ["circuit"]})
    return attributions, xr.DataTree.from_dict({"/": root, "/probes/latency": reduced})


def test_a_mechanism_has_the_circuits_channels_with_their_signs_and_strengths(probes: dict[str, xr.Dataset]) -> None:
    response = of_nobody(probes["latency"])
    attributions, circuit = taken_apart(response)
    with style():
        figure = mechanism("latency", probes["latency"], response, attributions, circuit)
        found = table(figure)
        assert len(written(figure, "mechanism")) == 3
    assert set("abcde") <= set(found.panel)
    wires = found[found.kind == "connection"].set_index("series").value
    assert wires.to_dict() == {
        "ch1 to cell01, excitatory": 3.0,
        "ch2 to cell01, inhibitory": 1.0,
        "ch1 to cell02, excitatory": 4.0,
        "ch2 to cell02, inhibitory": 2.0,
    }
    assert important_channels(circuit.to_dataset().sel(probe="latency"), 0) == [0, 1]
    none = circuit.to_dataset().sel(probe="latency").assign(in_circuit=("channel", [0, 0, 0]))
    assert important_channels(none, 0) == [0, 2, 1]


def test_a_folder_is_there_as_a_whole_or_as_it_was(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "new", b"half"
        raise RuntimeError("stopped")

    folder = tmp_path / "figures"
    write_folder(folder, [("old", b"1")])
    with pytest.raises(RuntimeError):
        write_folder(folder, broken())
    assert [p.name for p in tmp_path.rglob("*")] == ["figures", "old"]
    write_folder(folder, [("new", b"2")])
    assert [p.name for p in folder.iterdir()] == ["new"]
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        write_folder(folder / "figures", [("new", b"2")])
