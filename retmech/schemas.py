"""The type of every NetCDF file: its groups, variables, dimensions, dtypes, units and ranges.

`docs/data-model.md` says the same in prose. pandera checks names, dtypes, dimensions, ranges and missing values; units live in a
field's metadata and are checked by :mod:`retmech.io`, as is that every variable has ``units`` and ``long_name``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandera.xarray as pa
from pandera.api.xarray.model_components import XarrayFieldInfo
from pandera.typing.xarray import Coordinate


def _variable(*dims: str, units: str, **checks: Any) -> Any:
    return pa.Field(dims=dims, metadata={"units": units}, **checks)


def _coordinate(units: str = "1", **checks: Any) -> Any:
    return pa.Field(metadata={"units": units}, **checks)


@dataclass(frozen=True)
class FileType:
    """A kind of file: the model of its root group and, by pattern, the alternative models of the groups below it.

    A group without models is free in its variables.
    """

    name: str
    version: int
    root: type[pa.DatasetModel]
    groups: Mapping[str, tuple[type[pa.DatasetModel], ...]] = field(default_factory=dict)


class _Open(pa.DatasetModel):
    """More variables may stand in the file than are named here.

    pandera 0.35 replaces a field that a subclass inherits by an empty one, without its checks; they are handed on here.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for base in cls.__mro__[1:]:
            for name, attribute in vars(base).items():
                if isinstance(attribute, XarrayFieldInfo) and name not in vars(cls):
                    setattr(cls, name, attribute)
        super().__init_subclass__(**kwargs)


class _Strict(_Open):
    class Config:
        strict = True


class _Cells(_Strict):
    cell: Coordinate[str] = _coordinate()


class Retina(_Strict):
    """The circuit of a simulated retina."""

    frame_rate: np.float64 = _variable(units="Hz", gt=0)
    pixel_size: np.float64 = _variable(units="um", gt=0)
    temporal_kernel: np.float32 = _variable("pathway", "lag", units="1")
    pooling: np.float32 = _variable("cell", "pathway", "y", "x", units="1", ge=0)
    rectification_threshold: np.float64 = _variable("pathway", units="1", nullable=True)
    level: np.float64 = _variable("pathway", units="1", gt=0)
    weight: np.float64 = _variable("cell", "pathway", units="1")
    offset: np.float64 = _variable("cell", units="1")
    gain: np.float64 = _variable("cell", units="Hz", gt=0)
    pathway: Coordinate[str] = _coordinate()
    cell: Coordinate[str] = _coordinate()
    lag: Coordinate[np.float64] = _coordinate("s")
    y: Coordinate[np.float64] = _coordinate("um")
    x: Coordinate[np.float64] = _coordinate("um")


class _Recording(_Cells):
    frame_rate: np.float64 = _variable(units="Hz", gt=0)
    pixel_size: np.float64 = _variable(units="um", gt=0)
    stimulus_mean: np.float64 = _variable(units="1")
    stimulus_std: np.float64 = _variable(units="1", gt=0)
    receptive_field: np.float32 = _variable("cell", "lag", "y", "x", units="1")
    mean_rate: np.float64 = _variable("cell", units="Hz", ge=0)
    refractory_violations: np.float64 = _variable("cell", units="1", ge=0, le=1, nullable=True)
    rate_drift: np.float64 = _variable("cell", units="1", nullable=True)
    field_strength: np.float64 = _variable("cell", units="1", ge=0)
    field_p_value: np.float64 = _variable("cell", units="1", ge=0, le=1)
    field_diameter: np.float64 = _variable("cell", units="um", ge=0, nullable=True)
    field_y: np.float64 = _variable("cell", units="um", nullable=True)
    field_x: np.float64 = _variable("cell", units="um", nullable=True)
    included: np.int8 = _variable("cell", units="1", isin=[0, 1])
    exclusion: str = _variable("cell", units="1")
    raw_name: str = _variable("cell", units="1")
    lag: Coordinate[np.float64] = _coordinate("s")
    y: Coordinate[np.float64] = _coordinate("um")
    x: Coordinate[np.float64] = _coordinate("um")


class _StimulusClass(_Strict):
    response_shift: np.float64 = _variable("part", units="1", nullable=True)
    part: Coordinate[str] = _coordinate()


class _Part(_Strict):
    # An integer cannot be missing; to look for it would take as much memory again as the movie.
    stimulus: np.uint8 = _variable("time", "y", "x", units="1", nullable=True)
    rate: np.float32 = _variable("cell", "time", units="Hz", ge=0)
    segment: np.int32 = _variable("time", units="1", ge=0)
    time: Coordinate[np.float64] = _coordinate("s")


class _TrainPart(_Part):
    spike_count: np.int32 = _variable("cell", "time", units="1", ge=0)


class _TestPart(_Part):
    trial_rate: np.float32 = _variable("trial", "cell", "time", units="Hz")
    signal_to_noise: np.float64 = _variable("cell", units="1", ge=0, nullable=True)
    reliability: np.float64 = _variable("cell", units="1", ge=0, le=1, nullable=True)
    noise_ceiling: np.float64 = _variable("cell", units="1", ge=0, le=1, nullable=True)
    noise_ceiling_interval: np.float64 = _variable("quantile", "cell", units="1", ge=0, le=1, nullable=True)
    quantile: Coordinate[np.float64] = _coordinate()


class _FloatTrainPart(_TrainPart):
    stimulus: np.float32 = _variable("time", "y", "x", units="1")


class _RatePart(_Part):
    """Responses that are no spikes."""


class _FloatRatePart(_Part):
    stimulus: np.float32 = _variable("time", "y", "x", units="1")


TRAIN_PARTS = (_TrainPart, _FloatTrainPart, _RatePart, _FloatRatePart)


class _FloatTestPart(_TestPart):
    stimulus: np.float32 = _variable("time", "y", "x", units="1")


class _Model(_Cells):
    frame_rate: np.float64 = _variable(units="Hz", gt=0)
    pixel_size: np.float64 = _variable(units="um", gt=0)
    stimulus_mean: np.float64 = _variable(units="1")
    stimulus_std: np.float64 = _variable(units="1", gt=0)
    rate_scale: np.float32 = _variable("cell", units="Hz", gt=0)
    mean_frame: np.float32 = _variable("y", "x", units="1")
    train_loss: np.float64 = _variable("epoch", units="1")
    validation_loss: np.float64 = _variable("epoch", units="1")
    validation_correlation: np.float64 = _variable("epoch", units="1", ge=-1, le=1)
    learning_rate: np.float64 = _variable("epoch", units="1", gt=0)
    best_epoch: np.int64 = _variable(units="1", ge=1)
    epoch: Coordinate[np.int64] = _coordinate()
    lag: Coordinate[np.float64] = _coordinate("s")
    y: Coordinate[np.float64] = _coordinate("um")
    x: Coordinate[np.float64] = _coordinate("um")


class _Performance(_Cells):
    model: Coordinate[str] = _coordinate()


class _PerformanceClass(_Strict):
    pearson_r: np.float64 = _variable("model", "cell", units="1", ge=-1, le=1, nullable=True)
    pearson_r_interval: np.float64 = _variable("quantile", "model", "cell", units="1", ge=-1, le=1, nullable=True)
    explained_variance: np.float64 = _variable("model", "cell", units="1", nullable=True)
    trained_on: np.bool_ = _variable("model", units="1")
    noise_ceiling: np.float64 = _variable("cell", units="1", ge=0, le=1, nullable=True)
    noise_ceiling_interval: np.float64 = _variable("quantile", "cell", units="1", ge=0, le=1, nullable=True)
    quantile: Coordinate[np.float64] = _coordinate()
    recorded_rate: np.float32 = _variable("cell", "time", units="Hz", ge=0)
    predicted_rate: np.float32 = _variable("model", "cell", "time", units="Hz", ge=0)
    time: Coordinate[np.float64] = _coordinate("s")


class Probe(_Open):
    """A probe stimulus; its sweeps are coordinates along ``condition``."""

    stimulus: np.float32 = _variable("condition", "time", "y", "x", units="1")
    frame_rate: np.float64 = _variable(units="Hz", gt=0)
    pixel_size: np.float64 = _variable(units="um", gt=0)
    condition: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")
    y: Coordinate[np.float64] = _coordinate("um")
    x: Coordinate[np.float64] = _coordinate("um")


class Response(_Open):
    """A model's response to a probe, with the probe's readouts."""

    rate: np.float32 = _variable("condition", "time", "cell", units="Hz", ge=0)
    verdict: str = _variable("cell", units="1", isin=["matches", "differs", "no response"])
    condition: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")
    cell: Coordinate[str] = _coordinate()


class _Probes(_Open):
    """A group for each probe; there are no variables outside of them."""


class _TrueResponse(Response):
    """A simulated retina's response, and what it is made of."""

    baseline_rate: np.float64 = _variable("cell", units="Hz", ge=0)
    drive: np.float32 = _variable("condition", "time", "cell", "pathway", units="1")
    attribution: np.float32 = _variable("condition", "time", "cell", "pathway", units="Hz")
    pathway: Coordinate[str] = _coordinate()


class Readouts(_Strict):
    """All readouts of a recording's models and retinas: a row for each model, seed, probe, cell and readout."""

    value: np.float64 = _variable("row", units="1", nullable=True)
    error: np.float64 = _variable("row", units="1", ge=0, nullable=True)
    expected: np.float64 = _variable("row", units="1", nullable=True)
    model: Coordinate[str] = _coordinate()
    seed: Coordinate[str] = _coordinate()
    probe: Coordinate[str] = _coordinate()
    cell: Coordinate[str] = _coordinate()
    readout: Coordinate[str] = _coordinate()
    unit: Coordinate[str] = _coordinate()
    verdict: Coordinate[str] = _coordinate()


class Attributions(_Strict):
    """Attributions of a probe's responses; the first three variables keep the axes without symmetry (y, x) at the end."""

    attribution: np.float32 = _coordinate("Hz")
    effective_weight: np.float32 = _coordinate("Hz")
    drive: np.float32 = _coordinate("1")
    excitation: np.float32 = _variable("condition", "time", "cell", "channel", units="Hz", ge=0)
    suppression: np.float32 = _variable("condition", "time", "cell", "channel", units="Hz", le=0)
    response: np.float64 = _variable("condition", "time", "cell", units="Hz")
    baseline_response: np.float64 = _variable("condition", "time", "cell", units="Hz")
    completeness_error: np.float64 = _variable("condition", "time", "cell", units="Hz")
    nodes: np.int32 = _variable("condition", "time", units="1", ge=0)
    symmetry_violation: np.float64 = _variable(units="1", ge=0)
    condition: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")
    cell: Coordinate[str] = _coordinate()
    channel: Coordinate[str] = _coordinate()


class _SecondLayer(_Open):
    """Attributions to the second layer, which keep the axes without symmetry (y_2, x_2) at the end."""

    attribution: np.float32 = _coordinate("Hz")
    excitation: np.float32 = _variable("condition", "time", "cell", "channel_2", units="Hz", ge=0)
    suppression: np.float32 = _variable("condition", "time", "cell", "channel_2", units="Hz", le=0)
    channel_2: Coordinate[str] = _coordinate()


class _Alternatives(_Open):
    """The same by other measures and baselines."""

    attribution: np.float32 = _variable("measure", "condition", "time", "cell", "channel", units="Hz")
    measure: Coordinate[str] = _coordinate()


class _Agreement(_Open):
    """How far they agree with the attributions."""

    correlation: np.float64 = _variable("measure", "cell", units="1", ge=-1, le=1, nullable=True)
    incompleteness: np.float64 = _variable("measure", "cell", units="1", ge=0, nullable=True)
    measure: Coordinate[str] = _coordinate()


class _Pixels(_Open):
    """Single responses, attributed to the pixels of the frames before them."""

    attribution: np.float32 = _variable("response", "lag", "pixel_y", "pixel_x", units="Hz")
    change: np.float64 = _variable("response", units="Hz")
    response: Coordinate[str] = _coordinate()
    response_cell: Coordinate[str] = _coordinate()
    response_condition: Coordinate[str] = _coordinate()
    response_time: Coordinate[np.float64] = _coordinate("s")
    lag: Coordinate[np.float64] = _coordinate("s")
    pixel_y: Coordinate[np.float64] = _coordinate("um")
    pixel_x: Coordinate[np.float64] = _coordinate("um")


class Reduction(_Strict):
    """Factors of all attributions of one model, and the curves that judge their number."""

    activation: np.float32 = _variable("row", "factor", units="Hz", ge=0)
    loading: np.float32 = _variable("factor", "sign", "channel", units="1", ge=0)
    weight: np.float64 = _variable("row", units="1/Hz", gt=0)
    reconstruction_error: np.float64 = _variable("rank", units="1", ge=0)
    held_out_error: np.float64 = _variable("rank", "draw", units="1", ge=0)
    null_error: np.float64 = _variable("draw", units="1", ge=0)
    predicted_share: np.float64 = _variable(units="1", le=1)
    restart_stability: np.float64 = _variable("rank", units="1", ge=0, le=1)
    split_stability: np.float64 = _variable("rank", units="1", ge=0, le=1)
    time_error: np.float64 = _variable("algorithm", "rank", "time_fold", units="1", ge=0, nullable=True)
    alternative_loading: np.float32 = _variable("algorithm", "component", "sign", "channel", units="1")
    factor: Coordinate[str] = _coordinate()
    sign: Coordinate[str] = _coordinate()
    channel: Coordinate[str] = _coordinate()
    rank: Coordinate[np.int64] = _coordinate()
    draw: Coordinate[np.int64] = _coordinate()
    time_fold: Coordinate[np.int64] = _coordinate()
    algorithm: Coordinate[str] = _coordinate()
    probe: Coordinate[str] = _coordinate()
    condition: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")
    cell: Coordinate[str] = _coordinate()


class _UnitFactors(_Open):
    """Factors of single units of some probes; the loading keeps the axes without symmetry (y, x) at the end."""

    activation: np.float32 = _variable("unit_row", "unit_factor", units="Hz", ge=0)
    loading: np.float32 = _coordinate()
    reconstruction_error: np.float64 = _variable(units="1", ge=0)
    unit_factor: Coordinate[np.int64] = _coordinate()


class Consensus(_Strict):
    """What the models of several seeds, or recordings, have in common."""

    channel_partner: str = _variable("run", "other", "channel", units="1")
    channel_similarity: np.float64 = _variable("run", "other", "channel", units="1", ge=-1, le=1, nullable=True)
    channel_null: np.float64 = _variable("quantile", "run", "other", units="1", ge=-1, le=1, nullable=True)
    channel_p_value: np.float64 = _variable("run", "other", units="1", ge=0, le=1, nullable=True)
    factor_partner: str = _variable("run", "other", "factor", units="1")
    factor_similarity: np.float64 = _variable("run", "other", "factor", units="1", ge=-1, le=1, nullable=True)
    factor_null: np.float64 = _variable("quantile", "run", "other", units="1", ge=-1, le=1, nullable=True)
    factor_p_value: np.float64 = _variable("run", "other", units="1", ge=0, le=1, nullable=True)
    factor_reproduction: np.float64 = _variable("run", "factor", units="1", ge=-1, le=1, nullable=True)
    predicted_share: np.float64 = _variable("run", units="1", le=1)
    cell_type: np.int64 = _variable("run", "channel", units="1", ge=0)
    channel_share: np.float64 = _variable("run", "channel", units="1", ge=0, le=1)
    type_size: np.int64 = _variable("run", "type", units="1", ge=0)
    type_share: np.float64 = _variable("run", "type", units="1", ge=0)
    type_counts: np.int8 = _variable("type", units="1", isin=[0, 1])
    type_filter: np.float64 = _variable("type", "lag", units="1")
    silhouette: np.float64 = _variable("count", units="1", ge=-1, le=1)
    count_probability: np.float64 = _variable("count", units="1", ge=0, le=1)
    run: Coordinate[str] = _coordinate()
    other: Coordinate[str] = _coordinate()
    channel: Coordinate[str] = _coordinate()
    factor: Coordinate[str] = _coordinate()
    quantile: Coordinate[np.float64] = _coordinate()
    type: Coordinate[np.int64] = _coordinate()
    count: Coordinate[np.int64] = _coordinate()
    lag: Coordinate[np.float64] = _coordinate("s")


class Circuit(_Cells):
    """The reduced circuits, their faithfulness beside controls, and each channel and factor in a physiologist's terms."""

    frame_rate: np.float64 = _variable(units="Hz", gt=0)
    pixel_size: np.float64 = _variable(units="um", gt=0)
    importance: np.float64 = _variable("channel", units="Hz", ge=0)
    rank: np.int64 = _variable("channel", units="1", ge=1)
    channel_factor: str = _variable("channel", units="1")
    action: np.float64 = _variable("probe", "cell", "channel", units="Hz")
    effect: np.float64 = _variable("probe", "cell", "channel", units="Hz")
    strength: np.float64 = _variable("probe", "cell", "channel", units="Hz", ge=0)
    peak_condition: str = _variable("probe", "cell", units="1")
    peak_time: np.float64 = _variable("probe", "cell", units="s", ge=0)
    peak_change: np.float64 = _variable("probe", "cell", units="Hz")
    peak_share: np.float64 = _variable("probe", "cell", "channel", units="1", nullable=True)
    temporal_filter: np.float32 = _variable("channel", "lag", units="1")
    spatial_filter: np.float32 = _variable("channel", "kernel_y", "kernel_x", units="1")
    separability: np.float64 = _variable("channel", units="1", ge=0, le=1)
    polarity: np.int64 = _variable("channel", units="1", isin=[-1, 1])
    time_to_peak: np.float64 = _variable("channel", units="s", ge=0)
    biphasic_index: np.float64 = _variable("channel", units="1", ge=0)
    extent: np.float64 = _variable("channel", units="um", ge=0, nullable=True)
    surround_ratio: np.float64 = _variable("channel", units="1", ge=0, nullable=True)
    factor_filter: np.float32 = _variable("factor", "lag", units="1")
    factor_polarity: np.int64 = _variable("factor", units="1", isin=[-1, 1])
    factor_time_to_peak: np.float64 = _variable("factor", units="s", ge=0)
    factor_biphasic_index: np.float64 = _variable("factor", units="1", ge=0)
    factor_extent: np.float64 = _variable("factor", units="um", ge=0, nullable=True)
    factor_surround_ratio: np.float64 = _variable("factor", units="1", ge=0, nullable=True)
    factor_action: np.float64 = _variable("probe", "cell", "factor", units="Hz")
    order: str = _variable("selection", "kept", units="1")
    correlation: np.float64 = _variable("selection", "probe", "cell", "kept", units="1", ge=-1, le=1, nullable=True)
    explained_variance: np.float64 = _variable("selection", "probe", "cell", "kept", units="1", le=1, nullable=True)
    random_correlation: np.float64 = _variable("quantile", "probe", "cell", "kept", units="1", ge=-1, le=1, nullable=True)
    random_score: np.float64 = _variable("quantile", "kept", units="1", ge=-1, le=1)
    ablation_correlation: np.float64 = _variable("probe", "cell", "kept", units="1", ge=-1, le=1, nullable=True)
    fixed_correlation: np.float64 = _variable("probe", "cell", "kept", units="1", ge=-1, le=1, nullable=True)
    in_circuit: np.int8 = _variable("channel", units="1", isin=[0, 1])
    faithful: np.int8 = _variable(units="1", isin=[0, 1])
    faithfulness_asked: np.float64 = _variable(units="1", gt=0, le=1)
    circuit_score: np.float64 = _variable(units="1", ge=-1, le=1)
    circuit_chance: np.float64 = _variable(units="1", gt=0, le=1)
    in_cell_circuit: np.int8 = _variable("cell", "channel", units="1", isin=[0, 1])
    cell_faithful: np.int8 = _variable("cell", units="1", isin=[0, 1])
    circuit_ablation_correlation: np.float64 = _variable("probe", "cell", units="1", ge=-1, le=1, nullable=True)
    circuit_correlation: np.float64 = _variable("probe", "candidate", "cell", units="1", ge=-1, le=1, nullable=True)
    channel: Coordinate[str] = _coordinate()
    factor: Coordinate[str] = _coordinate()
    probe: Coordinate[str] = _coordinate()
    selection: Coordinate[str] = _coordinate()
    candidate: Coordinate[str] = _coordinate()
    kept: Coordinate[np.int64] = _coordinate()
    quantile: Coordinate[np.float64] = _coordinate()
    lag: Coordinate[np.float64] = _coordinate("s")
    kernel_y: Coordinate[np.float64] = _coordinate("um")
    kernel_x: Coordinate[np.float64] = _coordinate("um")


class Recovery(_Cells):
    """How well a model's channels and factors match the true pathways of a simulated retina."""

    correlation: np.float64 = _variable("level", "probe", "cell", "pathway", units="1", ge=-1, le=1, nullable=True)
    amplitude: np.float64 = _variable("probe", "cell", "pathway", units="1", ge=0, nullable=True)
    share: np.float64 = _variable("probe", "cell", "pathway", units="1", ge=0, le=1)
    recovery: np.float64 = _variable("level", "probe", "cell", units="1", ge=-1, le=1, nullable=True)
    shuffled_recovery: np.float64 = _variable("quantile", units="1", ge=-1, le=1)
    shuffled_mean: np.float64 = _variable(units="1", ge=-1, le=1)
    untrained_recovery: np.float64 = _variable("probe", units="1", ge=-1, le=1)
    pathway_of_channel: str = _variable("probe", "channel", units="1")
    response_correlation: np.float64 = _variable("probe", "cell", units="1", ge=-1, le=1, nullable=True)
    kernel_similarity: np.float64 = _variable("probe", "pathway", units="1", ge=-1, le=1, nullable=True)
    polarity_right: np.int8 = _variable("probe", "pathway", units="1", isin=[0, 1])
    sign_right: np.int8 = _variable("probe", "cell", "pathway", units="1", isin=[0, 1])
    unmatched_share: np.float64 = _variable("probe", "cell", units="1", ge=0, le=1)
    level: Coordinate[str] = _coordinate()
    probe: Coordinate[str] = _coordinate()
    channel: Coordinate[str] = _coordinate()
    pathway: Coordinate[str] = _coordinate()
    quantile: Coordinate[np.float64] = _coordinate()


class Comparison(_Strict):
    """How alike a model's channels and factors are to recorded interneurons."""

    channel_correlation: np.float64 = _variable("neuron", "channel", units="1", ge=-1, le=1)
    factor_correlation: np.float64 = _variable("neuron", "factor", units="1", ge=-1, le=1)
    best_channel: str = _variable("neuron", units="1")
    position_y: np.float64 = _variable("neuron", units="um")
    position_x: np.float64 = _variable("neuron", units="um")
    group: str = _variable("neuron", units="1")
    kind: str = _variable("neuron", units="1")
    correlation: np.float64 = _variable("level", "set", units="1", ge=-1, le=1)
    null: np.float64 = _variable("quantile", "level", "set", units="1", ge=-1, le=1)
    p_value: np.float64 = _variable("level", "set", units="1", ge=0, le=1)
    neuron: Coordinate[str] = _coordinate()
    channel: Coordinate[str] = _coordinate()
    factor: Coordinate[str] = _coordinate()
    level: Coordinate[str] = _coordinate()
    set: Coordinate[str] = _coordinate()
    quantile: Coordinate[np.float64] = _coordinate()


class _ReducedResponse(_Open):
    reduced_rate: np.float32 = _variable("candidate", "condition", "time", "cell", units="Hz")
    condition: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")


class _HeldOutMovie(_Open):
    recorded_rate: np.float32 = _variable("time", "cell", units="Hz", ge=0)
    rate: np.float32 = _variable("predictor", "time", "cell", units="Hz")
    recorded_correlation: np.float64 = _variable("predictor", "cell", units="1", ge=-1, le=1, nullable=True)
    model_correlation: np.float64 = _variable("predictor", "cell", units="1", ge=-1, le=1, nullable=True)
    predictor: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")


class _FixedCircuit(_Open):
    filters: np.float32 = _variable("member", "filter_lag", "filter_y", "filter_x", units="1")
    gain: np.float32 = _variable("member", "unit_y", "unit_x", units="1")
    bias: np.float32 = _variable("member", "unit_y", "unit_x", units="1")
    weight: np.float32 = _variable("cell", "member", "unit_y", "unit_x", units="1")
    offset: np.float32 = _variable("cell", units="1")
    scale: np.float32 = _variable("cell", units="Hz", gt=0)
    stimulus_mean: np.float32 = _variable(units="1")
    stimulus_std: np.float32 = _variable(units="1", gt=0)
    member: Coordinate[str] = _coordinate()


class _Discriminating(_Open):
    intensity: np.uint8 = _variable("time", "y", "x", units="1", nullable=True)
    rate: np.float32 = _variable("predictor", "response_time", "cell", units="Hz", ge=0)
    disagreement: np.float64 = _variable("cell", units="Hz", ge=0)
    noise_disagreement: np.float64 = _variable("cell", units="Hz", ge=0)
    predictor: Coordinate[str] = _coordinate()
    time: Coordinate[np.float64] = _coordinate("s")
    response_time: Coordinate[np.float64] = _coordinate("s")
    y: Coordinate[np.float64] = _coordinate("um")
    x: Coordinate[np.float64] = _coordinate("um")


RETINA = FileType("retina", 1, Retina)
RECORDING = FileType(
    "recording",
    4,
    _Recording,
    {
        "/*/train": TRAIN_PARTS,
        "/*/validation": TRAIN_PARTS,
        "/*/test": (_TestPart, _FloatTestPart),
        "/*": (_StimulusClass,),
    },
)
MODEL = FileType("model", 3, _Model, {"/weights": ()})
PERFORMANCE = FileType("performance", 2, _Performance, {"/*": (_PerformanceClass,)})
PROBE = FileType("probe", 1, Probe)
RESPONSE = FileType("response", 2, Response)
OBSERVED = FileType("observed", 1, _Probes, {"/*": (Response,)})
TRUTH = FileType("truth", 2, _Probes, {"/*": (_TrueResponse,)})
READOUTS = FileType("readouts", 1, Readouts)
ATTRIBUTIONS = FileType(
    "attributions",
    2,
    Attributions,
    {
        "/layer_2": (_SecondLayer,),
        "/alternatives": (_Alternatives,),
        "/agreement": (_Agreement,),
        "/pixels": (_Pixels,),
    },
)
REDUCTION = FileType("reduction", 3, Reduction, {"/units": (_UnitFactors,)})
CONSENSUS = FileType("consensus", 4, Consensus)
CIRCUIT = FileType(
    "circuit",
    3,
    Circuit,
    {
        "/probes/*": (_ReducedResponse,),
        "/movies/*": (_HeldOutMovie,),
        "/fixed": (_FixedCircuit,),
        "/discriminating": (_Discriminating,),
        "/*": (),  # what holds the groups above
    },
)
INTERNEURONS = FileType("interneurons", 1, Comparison)
RECOVERY = FileType("recovery", 1, Recovery)
