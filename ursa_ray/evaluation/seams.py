"""Does a join show? Does the picture flicker? Functions of frames, uint8 (frames, height, width, 3), and positions."""

from collections.abc import Sequence

import numpy as np


def frame_differences(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each frame from the one before, float (frames - 1,); the first is frame 1's."""
    return np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))


def seam_ratio(frames: np.ndarray, joins: Sequence[int]) -> float:
    """Mean difference at the joins over that inside segments: 1 where a join does not show.

    `joins` are the first frames of segments that go on after another. NaN where nothing moves inside segments.
    """
    assert all(0 < join < len(frames) for join in joins), f"joins {list(joins)} of {len(frames)} frames"
    differences = frame_differences(frames)
    at_join = np.zeros(len(differences), bool)
    at_join[np.array(joins) - 1] = True
    inside = differences[~at_join].mean()
    return float(differences[at_join].mean() / inside) if inside > 0 else float("nan")


def flicker(frames: np.ndarray) -> float:
    """How far pixels go and come back within two frames, mean over all, in grey levels.

    An object that passes moves a pixel once there and, much later, once back: a drawn clip has hardly any flicker.
    """
    return float(frame_flicker(frames).mean())


def frame_flicker(frames: np.ndarray) -> np.ndarray:
    """Flicker of every frame but the first and the last, float (frames - 2,)."""
    steps = np.diff(frames.astype(np.int16), axis=0)
    turns = np.minimum(np.abs(steps[1:]), np.abs(steps[:-1]))
    return np.where(np.sign(steps[1:]) * np.sign(steps[:-1]) < 0, turns, 0).mean(axis=(1, 2, 3))
