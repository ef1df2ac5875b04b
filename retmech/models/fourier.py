"""Valid cross-correlation in the Fourier domain of space, as real matrix products only.

The planes to correlate stand first and their many copies (samples, channels) last, so that every step is one large product of a
small fixed matrix with contiguous data, nothing is transposed between steps, and only the positions that are wanted are computed
on the way back. A period as long as the plane is enough, since the valid positions of a circular correlation are those of
the linear one; with products instead of a fast transform it may be any number, also a prime.

Complex numbers are pairs (real, imaginary); for real planes half of the frequencies along x say everything.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Windows gathered at a time. On a processor they stay in its cache; on a GPU each piece must be worth starting a kernel for.
PIECE_BYTES = {"cpu": 3 * 2**20, "cuda": 2**28}


def correlate(planes: Tensor, weight: Tensor) -> Tensor:
    """Correlate planes with kernels over space, and over as many consecutive frames as the kernels have.

    Parameters
    ----------
    planes : (x, y, channel, batch, time)
    weight : (kernel_x, kernel_y, out, channel, history), oldest frame first

    Returns
    -------
    out : (x - kernel_x + 1, y - kernel_y + 1, out, batch, time - history + 1)
        sum over channel c and frame j of the correlation of planes[c, t + j] with weight[c, j].
    """
    width, height, channels, batch, n_frames = planes.shape
    kernel_x, kernel_y, outs, _, history = weight.shape
    with torch.autocast(planes.device.type, enabled=False):
        spectrum = _to_spectrum(planes.to(weight.dtype).flatten(2), width, height).view(-1, 2 * channels, batch, n_frames)
        mixing = _conjugate_product(_to_spectrum(weight.flatten(2), width, height).view(-1, 2, outs, channels, history))
        if history == 1:
            product = torch.bmm(mixing, spectrum.flatten(2))
        else:
            product = _WindowProduct.apply(mixing, spectrum.permute(0, 2, 3, 1).contiguous(), history)  # type: ignore[no-untyped-call]
        out = _from_spectrum(product, (width, height), (width - kernel_x + 1, height - kernel_y + 1))
        return out.unflatten(-1, (outs, batch, n_frames - history + 1))


def uncorrelate(planes: Tensor, weight: Tensor) -> Tensor:
    """Apply the transpose of :func:`correlate` over space only.

    Parameters
    ----------
    planes : (x', y', out, batch)
    weight : (kernel_x, kernel_y, out, channel)

    Returns
    -------
    planes : (x' + kernel_x - 1, y' + kernel_y - 1, channel, batch)
    """
    n_x, n_y, outs, batch = planes.shape
    kernel_x, kernel_y, _, channels = weight.shape
    width, height = n_x + kernel_x - 1, n_y + kernel_y - 1
    half = width // 2 + 1
    mixing = _conjugate_product(_to_spectrum(weight.flatten(2), width, height).view(-1, 2, outs, channels, 1))
    rows = _matrix(_synthesis_x, n_x, width, planes).T @ planes.reshape(n_x, -1)
    product = torch.matmul(_matrix(_synthesis_y, n_y, height, planes).T, rows.view(half, 2 * n_y, -1))
    spectrum = torch.bmm(mixing.transpose(1, 2), product.view(half * height, 2 * outs, batch))
    columns = torch.matmul(_matrix(_analysis_y, height, height, planes).T, spectrum.view(half, 2 * height, -1))
    out = _matrix(_analysis_x, width, width, planes).T @ columns.view(2 * half, -1)
    return out.view(width, height, channels, batch)


def operations(shape: tuple[int, int], kernel: tuple[int, int], channels: int, outs: int, history: int) -> float:
    """Multiplications per response that :func:`correlate` needs, without those of the kernels' own transform."""
    (height, width), (kernel_y, kernel_x) = shape, kernel
    half, out_y, out_x = width // 2 + 1, height - kernel_y + 1, width - kernel_x + 1
    forward = channels * (2 * half * width * height + half * 4 * height**2)
    product = half * height * 4 * outs * channels * history
    backward = outs * (half * 4 * out_y * height + out_x * 2 * half * out_y)
    return forward + product + backward


def _to_spectrum(planes: Tensor, width: int, height: int) -> Tensor:
    """(x, y, m) -> (k_x k_y, 2 m) for k_x up to width / 2; missing pixels count as zero."""
    n_x, n_y, copies = planes.shape
    along_x = _matrix(_analysis_x, n_x, width, planes) @ planes.reshape(n_x, -1)
    rows = along_x.view(width // 2 + 1, 2 * n_y, copies)
    return torch.matmul(_matrix(_analysis_y, n_y, height, planes), rows).view(-1, 2 * copies)


def _from_spectrum(spectrum: Tensor, size: tuple[int, int], out: tuple[int, int]) -> Tensor:
    """(k_x k_y, 2 m, ...) -> (x, y, m ...) for the first positions only."""
    width, height = size
    rows = spectrum.reshape(width // 2 + 1, 2 * height, -1)
    along_y = torch.matmul(_matrix(_synthesis_y, out[1], height, spectrum), rows)
    planes = _matrix(_synthesis_x, out[0], width, spectrum) @ along_y.view(2 * (width // 2 + 1), -1)
    return planes.view(out[0], out[1], -1)


def _conjugate_product(spectrum: Tensor) -> Tensor:
    """Kernels (frequency, 2, out, channel, history) as real matrices (frequency, 2 out, history 2 channel): conj(w) z."""
    real, imaginary = spectrum.transpose(3, 4).unbind(1)
    top, bottom = torch.cat([real, imaginary], -1), torch.cat([-imaginary, real], -1)
    return torch.cat([top, bottom], 1).flatten(2)


class _WindowProduct(Function):
    """Multiply, at each frequency, the windows of consecutive frames with the kernels' matrices.

    Gathered, the windows are ``history`` times as large as the frames. They are made for some frequencies at a time, and again
    for the gradient instead of being kept.
    """

    @staticmethod
    def forward(ctx: Any, mixing: Tensor, spectrum: Tensor, history: int) -> Tensor:
        """(frequency, 2 out, history m) times windows of (frequency, batch, time, m): (frequency, 2 out, batch time')."""
        ctx.save_for_backward(mixing, spectrum)
        ctx.history = history
        n_responses = spectrum.shape[1] * (spectrum.shape[2] - history + 1)
        product = mixing.new_empty(*mixing.shape[:2], n_responses)
        for some, windows in _windows(spectrum, history):
            torch.bmm(mixing[some], windows.transpose(1, 2), out=product[some])
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of the matrices and of the frames' spectrum, each only if it is wanted."""
        mixing, spectrum = ctx.saved_tensors
        d_mixing = torch.empty_like(mixing) if ctx.needs_input_grad[0] else None
        d_spectrum = torch.zeros_like(spectrum) if ctx.needs_input_grad[1] else None
        for some, windows in _windows(spectrum, ctx.history):
            if d_mixing is not None:
                torch.bmm(gradient[some], windows, out=d_mixing[some])
            if d_spectrum is not None:
                d_windows = torch.bmm(gradient[some].transpose(1, 2), mixing[some])
                _add_windows(d_spectrum[some], d_windows, ctx.history)
        return d_mixing, d_spectrum, None


def _windows(spectrum: Tensor, history: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield (slice of frequencies, windows of a spectrum (frequency, batch, time, m) as (frequency, batch time', history m))."""
    n_frequencies, batch, n_frames, parts = spectrum.shape
    n_responses = batch * (n_frames - history + 1)
    piece = PIECE_BYTES.get(spectrum.device.type, PIECE_BYTES["cuda"])
    step = max(1, piece // (n_responses * history * parts * spectrum.element_size()))
    for start in range(0, n_frequencies, step):
        some = slice(start, start + step)
        windows = spectrum[some].flatten(2).unfold(2, history * parts, parts)
        yield some, windows.reshape(-1, n_responses, history * parts)


def _add_windows(spectrum: Tensor, windows: Tensor, history: int) -> None:
    """Add the entries of windows (frequency, batch time', history m) to the frames that they were gathered from."""
    _, batch, n_frames, parts = spectrum.shape
    n_responses = n_frames - history + 1
    windows = windows.view(-1, batch, n_responses, history, parts)
    for lag in range(history):
        spectrum[:, :, lag : lag + n_responses] += windows[..., lag, :]


def _matrix(formula: Callable[[Tensor, int], Tensor], positions: int, period: int, like: Tensor) -> Tensor:
    return _cached_matrix(formula, positions, period, like.dtype, like.device)


@lru_cache(maxsize=256)
def _cached_matrix(
    formula: Callable[[Tensor, int], Tensor], positions: int, period: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):  # also wanted with gradients later
        position, frequency = (torch.arange(n, dtype=torch.float64) for n in (positions, period))
        turns = torch.outer(frequency, position) % period / period  # exact before the multiplication by 2 pi
        return formula(2 * math.pi * turns, period).to(dtype).to(device)


def _analysis_x(angle: Tensor, period: int) -> Tensor:
    """(k_x 2, x): real planes to half of their frequencies."""
    return torch.stack([angle.cos(), -angle.sin()], dim=1)[: period // 2 + 1].flatten(0, 1)


def _analysis_y(angle: Tensor, period: int) -> Tensor:
    """(k_y 2, 2 y): multiplication by exp(-i angle)."""
    return _complex(angle.cos(), -angle.sin()).reshape(2 * period, -1)


def _synthesis_y(angle: Tensor, period: int) -> Tensor:
    """(2 y, k_y 2): multiplication by exp(i angle) / period."""
    return _complex(angle.cos(), angle.sin()).permute(1, 3, 0, 2).reshape(-1, 2 * period) / period


def _synthesis_x(angle: Tensor, period: int) -> Tensor:
    """(x, k_x 2): half of the frequencies to real planes; those that stand for two count twice."""
    half = torch.arange(period // 2 + 1)
    twice = 2 - (2 * half % period == 0).double()
    angle = angle[: period // 2 + 1]
    return (torch.stack([angle.cos(), -angle.sin()], dim=1) * twice[:, None, None] / period).flatten(0, 1).T.contiguous()


def _complex(real: Tensor, imaginary: Tensor) -> Tensor:
    """(frequency, 2, 2, position): the real matrix of a multiplication, from (real, imaginary) to (real, imaginary)."""
    return torch.stack([torch.stack([real, -imaginary], dim=1), torch.stack([imaginary, real], dim=1)], dim=1)
