"""One row a frame: how it looks, how it differs from the one before, whether it flickers, what moves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ursa_ray.measures.motion import measure_motion

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of BT.709

LOOKS = ("brightness", "contrast", "red", "green", "blue")
CHANGES = ("difference", "flicker", "motion_px", "moving_share")

SCHEMA = pa.schema([("frame", pa.int64()), *((name, pa.float64()) for name in (*LOOKS, *CHANGES))])


def measure_frames(frames: Iterable[np.ndarray]) -> pa.Table:
    """A row for each frame of a stream, uint8 (height, width, 3); three are held at a time.

    `difference`, `motion_px` and `moving_share` are null of the first frame, `flicker` of the first and the last.
    """
    rows: list[dict[str, Any]] = []
    frame_before = luma_before = step_before = None
    for frame in frames:
        luma = frame @ LUMA
        row = {"frame": len(rows)} | look_of(frame, luma)
        if frame_before is not None and luma_before is not None:
            step = frame.astype(np.int16) - frame_before
            row["difference"] = float(np.abs(step).mean())
            row["motion_px"], row["moving_share"] = measure_motion(luma_before, luma)
            if step_before is not None:
                rows[-1]["flicker"] = flicker_between(step_before, step)
            step_before = step
        rows.append(row)
        frame_before, luma_before = frame, luma
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def look_of(frame: np.ndarray, luma: np.ndarray) -> dict[str, float]:
    red, green, blue = frame.mean(axis=(0, 1)).tolist()
    return {
        "brightness": float(luma.mean(dtype=np.float64)),
        "contrast": float(luma.std(dtype=np.float64)),
        "red": red,
        "green": green,
        "blue": blue,
    }


def flicker_between(step: np.ndarray, following: np.ndarray) -> float:
    """How far pixels go and come back, of two steps int16 (height, width, 3) that follow one another."""
    turns = np.minimum(np.abs(step), np.abs(following))
    return float(np.where(np.sign(step) * np.sign(following) < 0, turns, 0).mean())
