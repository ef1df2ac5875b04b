"""Integrated gradients of firing rates along straight paths, by the conventions that the settings name.

The first layer is affine in the stimulus, so a straight path from a baseline stimulus to a stimulus is a straight path in the
layer's output too: the layer is evaluated at the two ends only, and the layers above it are walked along the path, once for
all cells (Tanaka et al., NeurIPS 2019, section 2; Sundararajan et al., ICML 2017).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from retmech.attribution import exact, quadrature
from retmech.attribution.drives import Drive
from retmech.attribution.integral import Integral
from retmech.errors import RetmechError
from retmech.models.network import Network
from retmech.models.rectifiers import Rectifiers, quotient
from retmech.settings import AttributeSettings
from retmech.streams import derived_seed

RULES = {
    "exact": "exact, segment by segment between the points where a rectifier switches",
    "gauss_legendre": "Gauss-Legendre",
    "trapezoid": "trapezoids",
    "midpoint": "midpoints of equal intervals",
    "right": "right ends of equal intervals",
    "left": "left ends of equal intervals",
}


@dataclass(frozen=True)
class Attributor:
    """A network's path integrals.

    Attributes
    ----------
    rectifiers
        The layers above the first, if they are nothing else.
    tolerance
        Largest completeness residual of a quadrature, Hz.
    """

    network: Network
    rectifiers: Rectifiers | None
    settings: AttributeSettings
    tolerance: float = 0.0
    threads: int = 1

    @property
    def is_exact(self) -> bool:
        """Whether the integral is known in closed form."""
        return self.settings.rule == "exact" and self.rectifiers is not None

    @property
    def rule(self) -> str:
        """How the integral is computed, in words."""
        if self.is_exact:
            return RULES["exact"]
        rule = "gauss_legendre" if self.settings.rule == "exact" else self.settings.rule
        nodes, most = self.settings.nodes, self.settings.max_nodes
        return f"{RULES[rule]}, {nodes} nodes" + (f", doubled until complete to at most {most}" if most >= 2 * nodes else "")

    def second_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the second layer."""
        second = self._rectifiers().second
        assert second is not None, "checked by attributor()"
        n, y, x = second.gain.shape
        return n, y, x

    def within(self, tolerance: float) -> "Attributor":
        """Return one with another tolerance, Hz."""
        return replace(self, tolerance=tolerance)

    def upper(self, drive: Drive) -> Tensor:
        """Return what is attributed, (n, cell) in Hz, for the first layer's output."""
        if self.settings.target == "rate":
            return self.network.upper(drive)
        rectifiers = self._rectifiers()
        return rectifiers.response(rectifiers.last(rectifiers.first(drive.double())), "input")

    def first_inputs(self, drive: Drive, baseline: Drive) -> tuple[Tensor, Tensor]:
        """Return the input of the first rectifiers at both ends, in float64 and where the rectifiers are, on the CPU."""
        first, first_0 = (self._rectifiers().first(end.cpu().double()) for end in (drive, baseline))
        return first, first_0

    def integrate(self, drive: Drive, baseline: Drive) -> tuple[Integral, Tensor | None]:
        """Integrate the gradient by the settings' layer on paths between its values at two ends.

        Parameters
        ----------
        drive, baseline : (n, channel, y, x), (1 or n, channel, y, x)
            The first layer's output for the stimuli and their baselines.

        Returns
        -------
        integral
        attribution_2 : (n, cell, channel_2, y_2, x_2), Hz
            To the second layer's units; None unless the settings ask for it.
        """
        if self.settings.layer == "rectified" and self.settings.path == "layer":
            integral = self._between_rectified(drive, baseline)
        else:
            integral = self._on_side(self.by_drive(drive, baseline), drive, baseline)
        return integral, self._second(drive, baseline) if self.settings.layer_2 else None

    def by_drive(self, drive: Drive, baseline: Drive) -> Integral:
        """Integrate the gradient by the first layer's output, whatever side of it the settings name."""
        if not self.is_exact:
            return self._by_quadrature(self.upper, drive, baseline)
        rectifiers, target = self._rectifiers(), self.settings.target
        first, first_0 = self.first_inputs(drive, baseline)
        found = exact.integrate_first(rectifiers, first, first_0, target, self.threads)
        return replace(found, difference=drive.double() - baseline.double(), weight=found.weight.mul_(rectifiers.gain))

    def _on_side(self, found: Integral, drive: Drive, baseline: Drive) -> Integral:
        """Say by how much the settings' side of the layer changes and what its weight is: the attribution is the same on all."""
        if self.settings.layer == "convolution":
            return found
        first, first_0 = self.first_inputs(drive, baseline)
        difference = first - first_0 if self.settings.layer == "normalized" else first.relu() - first_0.relu()
        attribution = found.difference[:, None] * found.weight
        # Of a unit that does not change no weight can be told.
        return replace(found, difference=difference, weight=quotient(attribution, difference[:, None], torch.zeros(1)))

    def _between_rectified(self, drive: Drive, baseline: Drive) -> Integral:
        """Paths that are straight in what the first rectifiers pass."""
        rectifiers, target = self._rectifiers(), self.settings.target
        second = rectifiers.second
        passed, passed_0 = (end.relu() for end in self.first_inputs(drive, baseline))
        if not self.is_exact:
            last = second or (lambda h: h)
            return self._by_quadrature(lambda h: rectifiers.response(last(h), target), passed, passed_0)
        if second is None:  # the softplus alone is left, and its input is straight
            slope = rectifiers.output_chord(passed, passed_0, target)
            weight = slope[:, :, None, None, None] * rectifiers.readout
            ends = rectifiers.response(passed, target), rectifiers.response(passed_0, target)
            return Integral.of(passed - passed_0, weight, *ends, torch.ones(len(passed), dtype=torch.int64))
        found = exact.integrate_last(rectifiers, second(passed), second(passed_0), target, self.threads)
        weight = second.back(found.weight.flatten(0, 1)).unflatten(0, found.weight.shape[:2])
        return Integral.of(passed - passed_0, weight, found.response, found.baseline_response, found.nodes)

    def _second(self, drive: Drive, baseline: Drive) -> Tensor:
        """Attributions to the second layer's units."""
        rectifiers, target = self._rectifiers(), self.settings.target
        first, first_0 = self.first_inputs(drive, baseline)
        if self.settings.path == "stimulus":
            return exact.integrate_second(rectifiers, first, first_0, target, self.threads)
        found = exact.integrate_last(rectifiers, rectifiers.last(first), rectifiers.last(first_0), target, self.threads)
        return found.difference[:, None] * found.weight

    def _by_quadrature(self, upper: quadrature.Upper, end: Tensor, start: Tensor) -> Integral:
        settings = self.settings
        return quadrature.integrate(upper, end, start, settings.rule, settings.nodes, settings.max_nodes, self.tolerance)

    def _rectifiers(self) -> Rectifiers:
        assert self.rectifiers is not None, "checked by attributor()"
        return self.rectifiers


def attributor(network: Network, kind: str, shape: tuple[int, int], settings: AttributeSettings, threads: int = 1) -> Attributor:
    """Return a network's path integrals, or say why it has none.

    Parameters
    ----------
    kind
        Name of the architecture, for messages.
    shape
        Height and width of the frames.

    Raises
    ------
    RetmechError
        If the responses are no function of the first layer's units at one instant, or the settings ask for what only networks of
        rectifiers have.
    """
    drive = _check(network, kind, shape)
    rectifiers = network.rectifiers((drive.shape[2], drive.shape[3]))
    asked = {
        "layer": settings.layer != "convolution",
        "target": settings.target != "rate",
        "layer_2": settings.layer_2,
    }
    for key, wanted in asked.items():
        if wanted and rectifiers is None:
            raise RetmechError(
                f"attribute.{key} = {getattr(settings, key)!r}: {kind} does not say that the layers above its first are "
                "rectifiers between affine maps (`rectifiers` of its network). Leave the default."
            )
    if settings.layer_2 and rectifiers is not None and rectifiers.second is None:
        raise RetmechError(f"attribute.layer_2: {kind} has no second layer. Leave it out.")
    return Attributor(network, rectifiers, settings, threads=threads)


def _check(network: Network, kind: str, shape: tuple[int, int]) -> Drive:
    """Refuse a network that is not purely spatial layers above an affine first one; return some of that one's output."""
    if network.spike_lags:
        raise RetmechError(f"{kind}: its rate depends on the cell's own past spikes, not on the stimulus alone.")
    parameter = next(network.parameters())
    generator = torch.Generator().manual_seed(derived_seed(0, "clip to check a network with"))
    clip = torch.randn(2, network.history + 2, *shape, generator=generator).to(parameter)
    with torch.no_grad():
        drive = network.first_layer(clip)
        half = network.first_layer(clip.mean(dim=0, keepdim=True))
        scale = float(drive.abs().max())
        if float((half[0] - drive.mean(dim=0)).abs().max()) > 1e-4 * scale:
            raise RetmechError(f"{kind}: its first layer is not affine in the stimulus: no straight path goes through its units.")
        together, alone = network.upper(drive[0]), torch.cat([network.upper(frame[None]) for frame in drive[0]])
        whole = network(clip)[0]
    tolerance = 1e-4 * max(float(together.abs().max()), 1e-12)
    for other, why in (
        (alone, "the layers above the first mix responses of several times"),
        (whole, "its response is not what `upper` makes of the first layer's output"),
    ):
        if float((together - other).abs().max()) > tolerance:
            raise RetmechError(f"{kind}: {why}. Only layers that are purely spatial can be attributed at one instant.")
    return drive[0]
