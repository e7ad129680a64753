"""A film at another frame rate, without making up frames."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor

import numpy as np

HALF = Fraction(1, 2)


def num_retimed(num_frames: int, fps: Fraction, to: Fraction) -> int:
    """How many frames at `to` last about as long as `num_frames` at `fps`: off by half a frame at most."""
    return max(1, floor(num_frames * to / fps + HALF))


def nearest_frame(index: int, num_frames: int, fps: Fraction, to: Fraction) -> int:
    """Which of `num_frames` frames at `fps` is frame `index` at `to`."""
    return min(floor((index + HALF) * fps / to), num_frames - 1)


def nearest_frames(frames: Iterable[np.ndarray], num_frames: int, fps: Fraction, to: Fraction) -> Iterator[np.ndarray]:
    """At every instant the frame that the film at `fps` shows then: some come again, or some never.

    Of the instants in which a new frame is shown, the middle one counts. All of `frames` is taken, so that what
    is wrong with any is found.
    """
    num_new, index = num_retimed(num_frames, fps, to), 0
    for number, frame in enumerate(frames):
        while index < num_new and nearest_frame(index, num_frames, fps, to) == number:
            yield frame
            index += 1
