"""The settings of each stage, with their units, ranges and defaults.

Only types live here; :mod:`retmech.config` puts them together with those of the probes and architectures. A stage reads its
own section and nothing else, and device counts, workers and paths are no settings: they never change a result.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9_][a-z0-9_-]*$", max_length=60)]
Rule = Literal["exact", "gauss_legendre", "trapezoid", "midpoint", "right", "left"]
Baseline = Literal["grey", "mean", "blurred", "frame"]
Target = Literal["rate", "input"]
Side = Literal["convolution", "normalized", "rectified"]
Measure = Literal["grey", "mean", "blurred", "frame", "gradient", "ablation", "rescale"]
Split = Literal["unit", "channel"]
Weighting = Literal["equal", "none"]
Length = Annotated[int, Field(ge=1, le=1000)]
Kernel = Length | Annotated[list[Length], Field(min_length=2, max_length=2)]  # height and width, or one number for both
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Settings(BaseModel):
    """Base of all settings: unknown keys, NaN and infinity are refused, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SimulatedMovie(Settings):
    """Length of one simulated stimulus class."""

    blocks: int = Field(5, ge=1, le=1000, description="training blocks")
    block_duration: float = Field(120.0, gt=1, le=3600, description="length of one training block, s")
    test_duration: float = Field(30.0, gt=1, le=600, description="length of the test movie, s")
    repeats: int = Field(20, ge=2, le=255, description="presentations of the test movie")


class SimulatedScenes(SimulatedMovie):
    """Natural images under a moving eye."""

    fixation: float = Field(1.0, gt=0, le=60, description="mean time between saccades, s")
    drift: float = Field(400.0, ge=0, le=100000, description="sd of the eye's random walk after a second, um")
    jitter: float = Field(0.0, ge=0, le=10000, description="sd of its tremor, drawn anew in every frame, um")


class SimulateSettings(Settings):
    """A simulated retina and its recording."""

    circuit: str = Field("three_pathway", min_length=1, description="a circuit that is shipped, or the path of a YAML file")
    cells: int = Field(4, ge=1, le=100, description="ganglion cells; they take the circuit's types in turn")
    size: int = Field(24, ge=8, le=200, description="height and width of the movie, pixels")
    pixel_size: float = Field(50.0, gt=0, le=1000, description="width of a pixel on the retina, um")
    frame_rate: float = Field(100.0, ge=20, le=1000, description="Hz")
    mean_rate: float = Field(6.0, gt=0, le=200, description="mean firing rate on natural scenes, Hz")
    seed: Seed = Field(1, description="of the movies and the spikes")
    naturalscene: SimulatedScenes = Field(SimulatedScenes(), description="photographs and dead leaves under a moving eye")
    whitenoise: SimulatedMovie = Field(SimulatedMovie(), description="binary checkerboard")


class QualitySettings(Settings):
    """Limits beyond which a cell is kept in the file but left out of training; null: none."""

    min_rate: float | None = Field(0.05, ge=0, le=1000, description="mean rate in training, Hz")
    refractory_period: float = Field(1.5, gt=0, le=10, description="in which one neuron does not fire twice, ms")
    max_refractory_violations: float | None = Field(None, ge=0, le=1, description="share of intervals between spikes within it")
    min_reliability: float | None = Field(None, ge=0, le=1, description="of the trial average, in the class where it is best")
    min_field_strength: float | None = Field(None, ge=0, le=1000, description="of the receptive field, sd of the null")
    max_rate_drift: float | None = Field(None, ge=0, le=100, description="change of the rate over the session, over its mean")


class IngestSettings(Settings):
    """How a raw recording is read, cut into training, validation and test, aligned and judged."""

    reader: str = Field("stanford", description="format of the raw files: a file in `retmech/readers/`")
    pixel_size: float = Field(50.0, gt=0, le=1000, description="width of a pixel on the retina, um")
    rate_width: float = Field(10.0, gt=0, le=200, description="sd of the Gaussian that makes rates of spikes, ms")
    response_lag: int = Field(1, ge=0, le=100, description="bins from the newest frame to the response it drives")
    blocks: int = Field(1, ge=1, le=1000, description="equal blocks that the training movie is made of")
    skip: float = Field(0.0, ge=0, le=3600, description="start of each block left out (adaptation), s")
    validation_fraction: float = Field(0.1, gt=0, lt=0.9, description="last part of each block kept for validation")
    test: str | None = Field(
        None,
        pattern="^last$",
        description="last: no movie was repeated, and the last part of the training movie is the test, shown once",
    )
    test_fraction: float = Field(0.1, gt=0, lt=0.9, description="of the training movie, with `test: last`")
    guard_gap: float = Field(0.5, ge=0, le=60, description="left out between training and validation, s")
    scale: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {},
        description="factors for the luminance of movies on another scale: by stimulus class, or by CLASS/train and CLASS/test",
    )
    cells: list[Annotated[int, Field(ge=0)]] | None = Field(
        None, min_length=1, description="rows of the cells to use, from 0; all when omitted"
    )
    history: float = Field(400.0, gt=0, le=2000, description="length of the receptive fields in time, ms")
    unit: Name | None = Field(
        None,
        description="stimulus class whose training movie's sd is the unit of contrast of every movie, probe and model of the "
        "recording; natural scenes, or the first class",
    )
    quality: QualitySettings = Field(QualitySettings())
    check_lag: bool = Field(True, description="refuse a test movie whose responses are shifted against those of training")


class TrainSettings(Settings):
    """What every architecture shares: data, loss, optimizer and stopping rule."""

    stimulus: list[Name] = Field(["naturalscene"], min_length=1, description="stimulus classes to train on")
    shared: bool = Field(False, description="train once on all recordings: they share all that does not belong to single cells")
    history: float = Field(400.0, gt=0, le=2000, description="length of the stimulus history, ms")
    target: Literal["rate", "spikes"] = Field("rate", description="what is fitted: the smoothed rate or the counts per bin")
    clip_length: int = Field(64, ge=1, le=4096, description="consecutive responses in a clip")
    batch_clips: int = Field(16, ge=1, le=4096, description="clips in a batch, over all processes together")
    epochs: int = Field(30, ge=1, le=10000, description="at most")
    patience: int = Field(6, ge=1, le=1000, description="epochs without a better validation loss before it stops")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="sgd has a Nesterov momentum of 0.9")
    learning_rate: float = Field(5e-3, gt=0, le=1, description="of the optimizer, at the start")
    schedule: Literal["plateau", "cosine", "constant"] = Field(
        "plateau", description="of the learning rate: halved where the validation loss stalls, a half cosine to 0, or none"
    )
    halve_after: int = Field(2, ge=1, le=1000, description="epochs without a better validation loss per halving")
    weight_decay: float = Field(0.0, ge=0, le=1, description="of the optimizer")
    weight_l2: float = Field(1e-3, ge=0, le=10, description="penalty on the mean over cells of squared weights")
    output_l1: float = Field(0.0, ge=0, le=10, description="penalty on the mean rate relative to the recorded one")
    gradient_clip: float | None = Field(None, gt=0, le=1e6, description="largest norm of the gradient; none when omitted")
    precision: Literal["float32", "tf32", "bfloat16", "float64"] = Field(
        "float32", description="of the products; weights stay float32 except with float64. tf32 needs a GPU"
    )


class EvaluateSettings(Settings):
    """What a model's predictions are held against."""

    baselines: list[Name] = Field(["ln"], description="models shown beside every other, and not taken apart themselves")


class PixelSettings(Settings):
    """Which responses of a probe are attributed to the single pixels of the frames before them."""

    cells: list[str] = Field([], description="names of cells; all when empty")
    times: list[Annotated[float, Field(ge=0)]] = Field([], description="s; the time of the cell's largest response when empty")


class ObserveSettings(Settings):
    """How the cells' own responses are read from a recording whose test movies contain probes."""

    tolerance: float = Field(
        0.02, gt=0, le=0.5, description="largest squared difference of a shown movie from the probe's, of it"
    )
    draws: int = Field(200, ge=20, le=100000, description="bootstrap draws of trials, for the readouts' uncertainty")
    seed: Seed = Field(1, description="of the draws")


class TruthSettings(Settings):
    """How a simulated retina's own attributions are computed."""

    nodes: int = Field(64, ge=2, le=4096, description="steps of the path integral; the parts add up for any number of them")


class AttributeSettings(Settings):
    """The path integral: where it begins, what it goes to, how it is computed and how exact it must be."""

    rule: Rule = Field("exact", description="closed form where the layers allow it, else Gauss-Legendre; or a quadrature rule")
    tolerance: float = Field(5e-4, gt=0, le=0.1, description="largest completeness error, of the probe's largest |r|")
    nodes: int = Field(16, ge=2, le=4096, description="quadrature nodes to begin with")
    max_nodes: int = Field(4096, ge=2, le=65536, description="doubling stops here; equal to nodes: no doubling")
    baseline: Baseline = Field(
        "grey",
        description="where the path begins: zero contrast, the training movie's mean frame, the blurred probe, one of its frames",
    )
    blur: float = Field(200.0, gt=0, le=10000, description="sd of the Gaussian in space, um")
    blur_time: float = Field(100.0, ge=0, le=10000, description="sd of the Gaussian in time, ms")
    frames: dict[Name, float | str] = Field(
        {}, description="by probe, the baseline frame: s from its start, or the name of one of the probe's events"
    )
    target: Target = Field("rate", description="what is attributed: the rate, or the input of its nonlinearity times rate_scale")
    layer: Side = Field(
        "convolution",
        description="side of layer 1 that is attributed to: before batch norm, after it, after rectification",
    )
    path: Literal["stimulus", "layer"] = Field(
        "stimulus",
        description="in what the path is straight: the stimulus, or the layer's own units (differs after rectification)",
    )
    layer_2: bool = Field(False, description="attribute to the second layer's units too")
    pixels: dict[Name, PixelSettings] = Field({}, description="by probe, responses that are attributed to single pixels")
    compare: list[Measure] = Field(
        ["mean", "blurred", "gradient", "ablation", "rescale"],
        description="other baselines and measures that are computed beside it, summed over each channel",
    )
    symmetry_tolerance: float = Field(
        1e-4, gt=0, le=0.1, description="largest variation of the drive along a symmetric axis, of its largest value"
    )

    @model_validator(mode="after")
    def _nodes(self) -> Self:
        if self.max_nodes < self.nodes:
            raise ValueError("max_nodes must be at least nodes")
        return self


class ReduceSettings(Settings):
    """The factorization of all attributions."""

    rank: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = Field(
        "auto", description="factors; auto: by the error on held-out entries and the stability, of 1 to max_rank"
    )
    max_rank: int = Field(6, ge=1, le=100, description="ranks tried for the error and stability curves")
    stability: float = Field(0.9, ge=0, le=1, description="smallest agreement of loadings at which auto takes a rank")
    restarts: int = Field(8, ge=2, le=1000, description="random initializations per rank")
    split: Split = Field(
        "unit", description="separate excitation from suppression before (unit) or after (channel) the sum over space"
    )
    weighting: Weighting = Field(
        "equal", description="equal: every cell's responses to every probe count the same; none: by their size in Hz"
    )
    rows: int = Field(4000, ge=100, le=10**7, description="responses, drawn at random, that ranks and methods are judged by")
    units: list[Name] = Field(
        [], description="probes that are factorized unit by unit too; they have the same axes without symmetry"
    )
    seed: Seed = Field(1, description="of the initializations and of what is held out")


class ConsensusSettings(Settings):
    """The comparison of models that differ in their seed, or in their recording."""

    recordings: bool = Field(False, description="compare the models of all recordings too, by what their cells have in common")
    draws: int = Field(1000, ge=100, le=10**6, description="draws of shuffled channels, the null distribution")
    max_types: int = Field(10, ge=2, le=100, description="numbers of cell types tried")
    least_share: float = Field(
        0.1, ge=0, le=1, description="of the parts of all cell types, mean over models, that a type has at least if it is counted"
    )
    seed: Seed = Field(1, description="of the draws")


class InterneuronSettings(Settings):
    """A recording of bipolar, amacrine or horizontal cells."""

    path: str = Field(min_length=1, description="HDF5 in the layout of the public recordings, or NetCDF")
    kind: Name = Field("bipolar", description="class of the cells")
    stimuli: list[str] | None = Field(None, min_length=1, description="those of the file to use; all when omitted")
    frame_rate: float = Field(100.0, gt=0, le=100000, description="of stimulus and potentials, Hz")
    pixel_size: float | None = Field(
        None, gt=0, le=1000, description="of the stimulus on the retina, um; the model's when omitted"
    )
    lag: int = Field(1, ge=0, le=100, description="bins from the newest frame to the potential it drives")


class CompareSettings(Settings):
    """Recordings of interneurons that channels and factors are held against."""

    interneurons: dict[Name, InterneuronSettings] = Field({}, description="recordings; none: nothing is compared")
    draws: int = Field(1000, ge=100, le=10**6, description="permutations of channels, the null distribution")
    seed: Seed = Field(1, description="of the draws")


class ExplainSettings(Settings):
    """The reduced models, and how they are tested."""

    faithfulness: float = Field(
        0.9, gt=0, le=1, description="smallest correlation with the model's response, on every probe, mean over cells"
    )
    selection: Literal["smallest", "attribution", "factor", "greedy"] = Field(
        "smallest", description="how the channels of the reduced circuit are chosen"
    )
    channels: int | None = Field(
        None, ge=1, le=1000, description="channels in the reduced circuit; as few as are faithful when omitted"
    )
    random_draws: int = Field(200, ge=10, le=100000, description="random sets of channels per size, the control")
    movie: float = Field(10.0, gt=0, le=3600, description="length of each held-out movie that the circuits are tested on, s")
    discriminating: float = Field(1.0, gt=0, le=60, description="length of the movie on which two circuits differ most, s")
    contrast: float = Field(1.0, gt=0, le=10, description="its root mean square contrast, sd of the training movie")
    seed: Seed = Field(1, description="of the random sets and of the first movies tried")


class RecoverSettings(Settings):
    """How a model's channels are held against the true pathways of a simulated retina."""

    draws: int = Field(1000, ge=100, le=10**6, description="draws of channels given to pathways at random, the chance level")
    seed: Seed = Field(1, description="of the draws, and of the weights of the untrained network")


class GatherSettings(Settings):
    """The page of all recordings."""

    largest: float = Field(
        40.0, ge=0, le=1000, description="MB; above it the page has links to the recordings' own instead of their data"
    )


class ReportSettings(Settings):
    """The page."""

    excerpt: float = Field(8.0, gt=0, le=600, description="length of test movie shown, s")
    conditions: int = Field(16, ge=1, le=1000, description="most conditions of a probe whose responses are on the page")


class DrawSettings(Settings):
    """The figures for papers."""

    excerpt: float = Field(8.0, gt=0, le=600, description="length of test movie shown, s")
