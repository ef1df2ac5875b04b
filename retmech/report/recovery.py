"""What is known of the truth, for simulated recordings, in sentences."""

import xarray as xr

WEAK = 0.8  # correlation of responses below which the model is said not to capture the retina


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
