"""How far a long piece of work is and how long it will still take: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

EVERY = 5.0  # s between two lines


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more units are done."""
    with _bar(what, total) if sys.stderr.isatty() else nullcontext(_Lines(what, total, unit)) as advance:
        yield advance


class _Lines:
    """A line after every few seconds, and one at the end."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self.started = self.last = time.monotonic()

    def __call__(self, more: int) -> None:
        self.done += more
        now = time.monotonic()
        if self.done < self.total and now - self.last < EVERY:
            return
        self.last, spent = now, now - self.started
        left = spent * (self.total - self.done) / max(self.done, 1)
        print(f"{self.what}: {self.done}/{self.total} {self.unit}, {spent:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
