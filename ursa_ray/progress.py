"""How far a stream of frames is: a bar on a terminal, plain lines in a log. It loads no torch, as `console` does."""

import sys
from collections.abc import Iterable, Iterator
from time import monotonic

import numpy as np
from rich.console import Console
from rich.progress import track

# Plain lines come at most this often.
LINE_EVERY_S = 10.0


def counted(frames: Iterable[np.ndarray], num_frames: int) -> Iterator[np.ndarray]:
    """Pass frames on, and tell on standard error how many of `num_frames` there were."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(frames, "frames", num_frames, console=console)
        return
    said = monotonic()
    for number, frame in enumerate(frames):
        if monotonic() - said > LINE_EVERY_S:
            said = monotonic()
            print(f"frame {number} of {num_frames}", file=sys.stderr, flush=True)  # noqa: T201
        yield frame
