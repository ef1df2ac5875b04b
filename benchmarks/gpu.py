"""What training does on one GPU: speed beside plain PyTorch in each precision, both backends, and a model trained to its end.

`python -m benchmarks.gpu` runs all of it; where there is no GPU it says so and measures nothing.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks import training
from benchmarks.compare import Comparison, save, seconds_per_call
from benchmarks.convergence import converge
from benchmarks.training import CONFIG, DEVICE, PAPER
from retmech.models.architectures.bn_cnn import Config
from retmech.models.convolution import Backend, faster_backend, spatial, spatiotemporal
from retmech.settings import IngestSettings, SimulatedMovie, SimulatedScenes, SimulateSettings
from retmech.stages.evaluate import evaluate

PRECISIONS = ("float32", "tf32", "bfloat16")
BATCHES = (16, 64, 256)  # clips of 64 responses
STEPS = 12
# Frame, kernel, planes, filters and frames of history, as in the table of docs/performance.md.
LAYERS = [
    (50, 15, 1, 8, 40),
    (50, 9, 1, 8, 40),
    (50, 5, 1, 8, 40),
    (50, 3, 1, 8, 40),
    (24, 9, 1, 8, 40),
    (16, 3, 1, 8, 40),
    (36, 11, 8, 8, 1),
    (36, 7, 8, 8, 1),
    (36, 5, 8, 8, 1),
    (36, 3, 8, 8, 1),
    (16, 11, 8, 8, 1),
    (16, 3, 8, 8, 1),
]
SCENES = SimulatedScenes(blocks=5, block_duration=240, test_duration=20, repeats=10)
SHORT = SimulatedMovie(blocks=3, block_duration=6, test_duration=2, repeats=2)
SIMULATE = SimulateSettings(cells=5, size=50, pixel_size=25, naturalscene=SCENES, whitenoise=SHORT)
INGEST = IngestSettings(blocks=5, skip=1, pixel_size=25)
TRAIN = Config(batch_norm="channel", history=400, epochs=30, patience=8)


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Compute as Lightning would in this precision."""
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=name == "bfloat16"):
        yield


def layer(backend: Backend, frame: int, kernel: int, channels: int, outs: int, history: int) -> float:
    """Seconds per response of a forward pass and the gradients that training asks for, in batches of 1024 responses."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    weight = torch.randn(outs, history if history > 1 else channels, kernel, kernel, device=DEVICE, generator=generator)
    shape = (16, 64 + history - 1, frame, frame) if history > 1 else (1024, channels, frame, frame)
    maps = torch.randn(shape, device=DEVICE, generator=generator, requires_grad=history == 1)
    weight.requires_grad_()

    def step() -> None:
        out = (spatiotemporal if history > 1 else spatial)(maps, weight, backend)
        out.backward(torch.ones_like(out))
        torch.cuda.synchronize()

    return seconds_per_call(step, 10, 3) / 1024


def accuracy() -> float:
    """Largest difference of the two backends' results and gradients on the GPU, float64, relative to the largest value."""
    worst = 0.0
    for frame, kernel, channels, outs, history in LAYERS:
        generator = torch.Generator(DEVICE).manual_seed(1)
        shape = (2, 8 + history, frame, frame) if history > 1 else (16, channels, frame, frame)
        maps = torch.randn(shape, device=DEVICE, generator=generator, dtype=torch.float64)
        found = []
        for backend in ("direct", "spectral"):
            weight = torch.ones(outs, history if history > 1 else channels, kernel, kernel, device=DEVICE, dtype=torch.float64)
            weight = (weight / (1 + torch.arange(weight.numel(), device=DEVICE)).view_as(weight)).requires_grad_()
            out = (spatiotemporal if history > 1 else spatial)(maps, weight, backend)
            out.backward(torch.sin(torch.arange(out.numel(), device=DEVICE, dtype=torch.float64)).view_as(out))
            found.append((out.detach(), weight.grad))
        for a, b in zip(*found, strict=True):
            worst = max(worst, float((a - b).abs().max() / a.abs().max()))
    return worst


def speed(contestant: Callable[[Config], Callable[[], float]], clips: int, name: str) -> tuple[float, float]:
    """Responses per second and peak memory in MB of whole training steps."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    with precision(name):
        step = contestant(CONFIG.model_copy(update={"batch_clips": clips}))
        seconds = seconds_per_call(step, STEPS, 5)
    return clips * CONFIG.clip_length / seconds, torch.cuda.max_memory_allocated() / 1e6


def compare() -> None:
    """Print the speeds in each precision and batch, and keep the ratios at the default batch."""
    config = PAPER | {"device": torch.cuda.get_device_name()}
    kept = []
    print(f"{'responses/s (peak MB)':24}" + "".join(f"{64 * clips:>24}" for clips in BATCHES))
    for name in PRECISIONS:
        rows = {}
        for who, contestant in (("retmech", training.ours), ("plain", training.plain)):
            with contextlib.suppress(torch.cuda.OutOfMemoryError):
                rows[who] = [speed(contestant, clips, name) for clips in BATCHES]
                print(
                    f"{who + ' ' + name:24}" + "".join(f"{rate:>14.0f} ({memory:7.0f})" for rate, memory in rows[who]), flush=True
                )
        if len(rows) == 2:
            (we, our_memory), (they, their_memory) = rows["retmech"][0], rows["plain"][0]
            kept.append(Comparison(f"gpu-training-speed-{name}", we / they, we, they, "responses/s", config))
            kept.append(
                Comparison(f"gpu-training-memory-{name}", their_memory / our_memory, our_memory, their_memory, "MB", config)
            )
    save(kept)


def kernels() -> None:
    """Print which kernels a step of the default batch spends its time in."""
    for clips in (BATCHES[0], BATCHES[-1]):
        step = training.ours(CONFIG.model_copy(update={"batch_clips": clips}))
        for _ in range(5):
            step()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
            for _ in range(10):
                step()
        averages = [row for row in found.key_averages() if row.device_type == DeviceType.CUDA]
        total = sum(row.self_device_time_total for row in averages)
        print(f"{clips} clips: {total / 1e4:.2f} ms on the GPU per step, in")
        for row in sorted(averages, key=lambda row: -row.self_device_time_total)[:14]:
            print(f"  {row.self_device_time_total / total:5.1%} {row.count / 10:6.1f} x {row.key[:100]}")


def convergence() -> None:
    """Train on 20 minutes of a simulated retina at the paper's geometry and print its correlations."""
    found = converge(SIMULATE, INGEST, TRAIN)
    responses = found.recording["naturalscene/train"].sizes["time"]
    print(f"{len(found.rows)} epochs of {responses} responses in {found.rows[-1]['seconds']:.1f} s;")
    print(f"95 % of the final validation correlation {found.final:.3f} in epoch {found.first['epoch']:.0f}, ", end="")
    print(f"after {found.first['seconds']:.1f} s")
    print(evaluate(found.recording, {"bn_cnn": found.model}))


def main() -> None:
    """Measure all of it on the first GPU."""
    if DEVICE.type != "cuda":
        print("no GPU: nothing is measured")
        return
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print(f"largest difference of the backends in float64: {accuracy():.1e}")
    print("microseconds per response: frame, kernel, planes, filters, history; direct, spectral; what is chosen")
    for frame, kernel, channels, outs, history in LAYERS:
        times = [1e6 * layer(backend, frame, kernel, channels, outs, history) for backend in ("direct", "spectral")]
        chosen = faster_backend((frame, frame), (kernel, kernel), channels, outs, history)
        print(f"{frame:4} {kernel:4} {channels:3} {outs:3} {history:3} {times[0]:10.2f} {times[1]:10.2f}  {chosen}", flush=True)
    compare()
    kernels()
    convergence()


if __name__ == "__main__":
    main()
