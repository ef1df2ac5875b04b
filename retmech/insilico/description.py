"""A circuit as it is written down: pathways from photoreceptors by way of bipolar or amacrine cells to ganglion cells."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from retmech.errors import ConfigError
from retmech.settings import Name, Settings

SHIPPED = Path(__file__).parent / "circuits"


class Surround(Settings):
    """What is subtracted from the centre of a receptive field."""

    radius: float = Field(gt=0, le=5000, description="sd of its Gaussian, um")
    strength: float = Field(gt=0, le=2, description="of its sum, the centre's")


class GainControl(Settings):
    """Division by one plus the pathway's own recent output (Shapley & Victor 1978)."""

    strength: float = Field(gt=0, le=100, description="of the output's mean over the calibration movie")
    time_constant: float = Field(gt=0, le=5000, description="of the exponential average of the output, ms")


class Depression(Settings):
    """Vesicles that release uses up and that come back slowly (Tsodyks & Markram 1997)."""

    release: float = Field(gt=0, le=100, description="share of the pool per second that the mean output uses up")
    recovery: float = Field(gt=0, le=10000, description="time constant of the pool, ms")


class Pathway(Settings):
    """One type of interneuron that reaches the ganglion cells; what inhibits does so by way of an amacrine cell."""

    polarity: Literal[1, -1] = Field(description="1: ON, excited by light; -1: OFF, by dark")
    time_to_peak: float = Field(gt=0, le=1000, description="of the temporal kernel, ms")
    width: float = Field(gt=0, le=1000, description="of the kernel's first lobe, sd of the gamma function, ms")
    biphasic_index: float = Field(0.0, ge=0, le=1, description="size of the kernel's second, opposite lobe to its first")
    slowness: float = Field(2.0, ge=1.2, le=5, description="time to peak of the second lobe over that of the first")
    delay: float = Field(0.0, ge=0, le=1000, description="of the synapses between, ms")
    centre: float = Field(50.0, gt=0, le=5000, description="sd of the receptive field's Gaussian, um")
    surround: Surround | None = Field(None, description="none when omitted")
    threshold: float | None = Field(
        0.0, ge=-10, le=10, description="of the rectifier, sd of its input on the calibration movie; null: not rectified"
    )
    smoothing: float = Field(0.0, ge=0, le=1000, description="time constant of what follows the rectifier, ms; 0: none")
    pooling: float = Field(85.0, gt=0, le=5000, description="sd of the Gaussian by which a ganglion cell sums it, um")
    gain_control: GainControl | None = Field(None, description="none when omitted")
    depression: Depression | None = Field(None, description="none when omitted")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.width > self.time_to_peak:
            raise ValueError("width must be at most time_to_peak")
        if self.threshold is None and (self.gain_control or self.depression):
            raise ValueError("gain control and depression need a rectifier: give a threshold")
        return self

    @property
    def memory(self) -> list[str]:
        """What its output depends on beside the present input of its rectifier, in words."""
        parts = {"gain control": self.gain_control, "depression": self.depression, "smoothing": self.smoothing}
        return [name for name, value in parts.items() if value]


class GanglionCell(Settings):
    """A type of ganglion cell."""

    weights: dict[Name, Annotated[float, Field(ge=-100, le=100)]] = Field(
        min_length=1, description="of pathways, each brought to unit variance on the calibration movie; negative: inhibition"
    )
    threshold: float = Field(1.0, ge=-10, le=10, description="of the output, sd above the mean of the input")
    steepness: float = Field(2.0, gt=0, le=100, description="sd of the input to the softplus")


class Spikes(Settings):
    """How spikes are drawn: a gamma process with a dead time, whose rate is the cell's."""

    order: float = Field(3.0, ge=1, le=100, description="of the gamma process: 1 is Poisson, larger more regular")
    refractory: float = Field(2.0, ge=0, le=20, description="dead time after a spike, ms")


class CircuitDescription(Settings):
    """All of a circuit."""

    pathways: dict[Name, Pathway] = Field(min_length=1)
    cells: list[GanglionCell] = Field(min_length=1, description="types; a recording's cells take them in turn")
    spikes: Spikes = Field(Spikes())

    @model_validator(mode="after")
    def _weights(self) -> Self:
        for i, cell in enumerate(self.cells):
            unknown = sorted(set(cell.weights) - set(self.pathways))
            if unknown:
                raise ValueError(
                    f"cells.{i}.weights: there is no pathway {', '.join(unknown)}; pathways: {', '.join(self.pathways)}"
                )
            if not any(cell.weights.values()):
                raise ValueError(f"cells.{i}.weights: all are 0: the cell would never fire")
        return self

    @property
    def memory(self) -> str:
        """What of it no model can be whose first layer alone sees time, in words; empty if nothing is."""
        return ", ".join(f"{' and '.join(p.memory)} of {name}" for name, p in self.pathways.items() if p.memory)


def circuit_names() -> list[str]:
    """Return the names of the circuits that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def circuit_path(name: str) -> Path:
    """Return the file of a circuit that is shipped, by its name, or of one's own.

    Raises
    ------
    ConfigError
        If there is none.
    """
    path = SHIPPED / f"{name}.yaml" if name in circuit_names() else Path(name)
    if path.suffix not in {".yaml", ".yml"} or not path.is_file():
        raise ConfigError(f"circuit = {name!r}: expected the path of a YAML file or one of {', '.join(circuit_names())}.")
    return path


def read_circuit(name: str) -> CircuitDescription:
    """Read a circuit that is shipped, by its name, or a YAML file.

    Raises
    ------
    ConfigError
        Naming the file and every wrong key.
    """
    path = circuit_path(name)
    try:
        return CircuitDescription.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error}).") from None
    except ValidationError as error:
        problems = [f"{path}: {'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors(include_url=False)]
        raise ConfigError("\n".join(problems)) from None
