"""Small networks with random weights, and movies and probes to show them."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from retmech import registry
from retmech.geometry import Geometry
from retmech.labels import cell_coordinate, geometry_variables, lag_coordinate, pixel_coordinates, variable
from retmech.models.architectures import bn_cnn, lnln, stacked
from retmech.models.network import Network
from retmech.models.store import weights_to_dataset
from retmech.provenance import canonical_json
from retmech.settings import AttributeSettings, ReduceSettings, Settings, Target
from retmech.stages.attribute import attribute
from retmech.stages.explain import Inputs
from retmech.stages.reduce import reduce
from retmech.stages.synthesize import synthesize

GEOMETRY = Geometry((12, 12), 100.0, 50.0)
CONFIGS: dict[str, Any] = {
    "unit": bn_cnn.Config(history=100, kernels=[5, 3], channels=[4, 3], batch_norm="unit", batch_norm_momentum=0.5),
    "channel": bn_cnn.Config(history=100, kernels=[5, 3], channels=[4, 3], batch_norm="channel", batch_norm_momentum=0.5),
    "stacked": stacked.Config(history=100, kernels=[5, 3, 3], channels=[4, 3], batch_norm_momentum=0.5),
    "lnln": lnln.Config(history=100, kernel=5, subunits=3, batch_norm_momentum=0.5),
}


def random_network(kind: str, seed: int = 0) -> Network:
    """A network whose batch norms have seen data and have scales of both signs, so that no part of it is trivial."""
    torch.manual_seed(seed)
    config = CONFIGS[kind]
    network: Network = registry.load("architecture", config.architecture).build(config, GEOMETRY, 3)
    network.rate_scale.copy_(torch.tensor([7.0, 2.0, 11.0]))
    network.place(torch.tensor([[4.0, 4.0], [6.0, 7.0], [8.0, 5.0]]))
    for _ in range(5):
        network(torch.randn(4, 40, 12, 12) + 0.3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.randn_like(parameter) + (1 if name.endswith("weight") else 0))
    return network.eval()


def movie(stimulus: str, n_frames: int = 20) -> Tensor:
    """A movie (time, y, x) of one kind, after grey."""
    generator = torch.Generator().manual_seed(3)
    frames = torch.zeros(n_frames, *GEOMETRY.shape)
    if stimulus == "flash":
        frames[12:14] = -2
    elif stimulus == "bar":
        for t in range(n_frames):
            frames[t, :, t // 2 : t // 2 + 2] = -3
    else:
        frames[10:] = torch.randn(n_frames - 10, *GEOMETRY.shape, generator=generator)
        if stimulus == "natural":
            spectrum = torch.fft.fft2(frames)
            frequency = torch.fft.fftfreq(12)
            radius = torch.hypot(frequency[:, None], frequency[None]).clamp(min=1 / 12)
            frames = torch.fft.ifft2(spectrum / (12 * radius)).real
    return frames


def model_tree(network: Network, config: Any) -> xr.DataTree:
    root = xr.Dataset(
        geometry_variables(GEOMETRY)
        | {"mean_frame": variable(("y", "x"), np.linspace(-0.3, 0.3, 144, dtype=np.float32).reshape(12, 12), "1", "mean")}
        | {"stimulus_mean": variable((), 100.0, "1", "mean"), "stimulus_std": variable((), 50.0, "1", "sd")},
        coords={
            "cell": cell_coordinate(["a", "b", "c"]),
            "lag": lag_coordinate(network.history, 100.0)[::-1],
            **pixel_coordinates(GEOMETRY.shape, 50.0),
        },
    )
    tree = xr.DataTree.from_dict({"/": root, "/weights": weights_to_dataset(network)})
    tree.attrs = {"architecture": config.architecture, "architecture_settings": canonical_json(config.model_dump(mode="json"))}
    return tree


def probe_of(frames: Tensor, symmetry: str = "") -> xr.Dataset:
    """A probe of one movie or several (condition, time, y, x)."""
    frames = frames if frames.ndim == 4 else frames[None]
    labels = [f"movie {i}" for i in range(len(frames))]
    return xr.Dataset(
        {"stimulus": variable(("condition", "time", "y", "x"), frames.numpy(), "1", "contrast")}
        | geometry_variables(GEOMETRY)
        | {"onset": variable((), 0.12, "s", "onset")},
        coords={
            "condition": variable("condition", labels, "1", "condition"),
            "time": variable("time", np.arange(frames.shape[1]) / 100.0, "s", "time"),
            **pixel_coordinates(GEOMETRY.shape, 50.0),
        },
        attrs={"probe": "latency", "symmetry": symmetry, "found": "", "source": ""},
    )


def explained(kind: str, seed: int = 0, target: Target = "rate") -> Inputs:
    """All that a circuit is made of, for a small network with random weights."""
    settings = AttributeSettings(compare=[], target=target)
    network = random_network(kind, seed)
    model = model_tree(network, CONFIGS[kind])
    probes = {name: probe_of(movie(name, 30)) for name in ("flash", "bar", "natural")}
    found = {name: attribute(model, probe, settings).gather().to_dataset() for name, probe in probes.items()}
    for attributions in found.values():
        attributions.attrs["settings"] = settings.model_dump_json()
    reduction = reduce(found, ReduceSettings(restarts=2, max_rank=3)).to_dataset()
    rng = np.random.default_rng(0)
    test = xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), rng.integers(0, 256, (60, 12, 12)).astype(np.uint8)),
            "rate": (("cell", "time"), rng.exponential(size=(3, 60)).astype(np.float32)),
        },
        coords={"time": np.arange(60) / 100},
    )
    root = model.to_dataset()[["frame_rate", "pixel_size"]]
    recording = xr.DataTree.from_dict({"/": root, "/noise/test": test})
    return Inputs(model, probes, found, reduction, recording)


def drawn(geometry: Geometry, config: Settings, probe: str, source: xr.DataTree | None = None) -> xr.Dataset:
    """A whole probe in memory."""
    return synthesize(geometry, config, probe, source).gather().to_dataset()
