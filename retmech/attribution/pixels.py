"""Attribution of single responses to the pixels of the frames before them.

The first layer is linear, z - z0 = W (s - s0): what a unit contributes is shared out among the pixels that it sees, and the
attribution to pixel i is (s_i - s0_i) sum_units G W_i, on the same path and as complete as that to the units.
"""

from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech.attribution.drives import Drives, Span
from retmech.attribution.path import Attributor
from retmech.errors import RetmechError
from retmech.labels import variable
from retmech.settings import PixelSettings


class Response(NamedTuple):
    """A cell's response at one frame of one condition."""

    cell: int
    condition: int
    frame: int


def chosen_responses(
    probe: xr.Dataset, name: str, cells: list[str], rate: NDArray[np.floating], settings: PixelSettings
) -> list[Response]:
    """Find the responses that the settings name; of all conditions the one in which the cell responds most at that time.

    Parameters
    ----------
    rate : (condition, time, cell)

    Raises
    ------
    RetmechError
        If there is no such cell, or the probe ends before.
    """
    chosen = []
    for label in settings.cells or cells:
        if label not in cells:
            raise RetmechError(f"attribute.pixels.{name}.cells = {label!r}: the model has only {', '.join(cells)}")
        k = cells.index(label)
        if not settings.times:
            condition, frame = (int(i) for i in np.unravel_index(rate[:, :, k].argmax(), rate.shape[:2]))
            chosen.append(Response(k, condition, frame))
        for time in settings.times:
            frame = round(time * float(probe["frame_rate"]))
            if frame >= rate.shape[1]:
                raise RetmechError(f"attribute.pixels.{name}.times = {time:g} s: the probe has only {rate.shape[1]} frames.")
            chosen.append(Response(k, int(rate[:, frame, k].argmax()), frame))
    return chosen


def pixel_attribution(drives: Drives, paths: Attributor, response: Response) -> tuple[NDArray[np.float32], float]:
    """Attribute one response to the pixels of its history.

    Returns
    -------
    attribution : (lag, y, x)
        Hz; the newest frame first.
    change : float
        Of the response from the baseline, Hz, which the attributions add up to.
    """
    span = Span(response.condition, response.frame, response.frame + 1)
    clip, base = drives.clip(span), drives.baseline_clip(span, paths.settings.baseline)
    integral = paths.by_drive(drives.of(clip), drives.of(base))
    parameter = next(drives.network.parameters())
    frames = torch.from_numpy(clip).to(parameter).requires_grad_()
    drive = drives.network.first_layer(frames[None])[0]
    weight = integral.weight[:, response.cell].to(drive)
    (by_pixel,) = torch.autograd.grad(drive, frames, weight)
    attribution = (clip - base) * by_pixel.cpu().numpy()
    change = integral.response[0, response.cell] - integral.baseline_response[0, response.cell]
    return attribution[::-1].copy(), float(change)


def response_labels(probe: xr.Dataset, cells: list[str], responses: list[Response]) -> dict[str, xr.Variable]:
    """Name the responses, and say of which cell, condition and time each is."""
    cell, condition, frame = (np.array(values) for values in zip(*responses, strict=True))
    time = probe["time"].values[frame]
    labels = [f"{cells[k]} at {t:.2f} s" for k, t in zip(cell, time, strict=True)]
    return {
        "response": variable("response", labels, "1", "response"),
        "response_cell": variable("response", np.array(cells)[cell], "1", "cell that responds"),
        "response_condition": variable("response", probe["condition"].values[condition], "1", "condition"),
        "response_time": variable("response", time, "s", "time of the response"),
    }


def pixel_attributions(drives: Drives, paths: Attributor, responses: list[Response]) -> xr.Dataset:
    """Attribute several responses to pixels."""
    found = [pixel_attribution(drives, paths, response) for response in responses]
    dims = ("response", "lag", "pixel_y", "pixel_x")
    return xr.Dataset(
        {
            "attribution": variable(
                dims, np.stack([values for values, _ in found]), "Hz", "attribution of the response to a pixel"
            ),
            "change": variable(
                "response", np.array([change for _, change in found]), "Hz", "change of the response from the baseline"
            ),
        }
    )
