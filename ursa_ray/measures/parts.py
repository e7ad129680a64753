"""From frames to segments and the film: seam jumps, drift within takes, means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

# Grey levels from frame to frame, the least that a jump is compared with: stills of a film differ by nothing at all.
STILL = 0.1

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Part:
    """Frames [start, stop) of a film; `goes_on` if they follow without a cut on the part before."""

    name: str
    start: int
    stop: int
    goes_on: bool = False


def with_drift(frames: pa.Table, parts: Sequence[Part], fps: float) -> pa.Table:
    """The table of `measure_frames` with seconds, the part of each frame, and the drift within its take."""
    colours = np.stack([frames[name].to_numpy() for name in COLOURS], axis=1)
    contrast = frames["contrast"].to_numpy()
    drift, contrast_drift, names = np.zeros(len(frames)), np.zeros(len(frames)), [""] * len(frames)
    for start, stop in takes_of(parts):
        first, all_ = slice(start, min(stop, start + max(1, round(fps)))), slice(start, stop)
        drift[all_] = np.abs(colours[all_] - colours[first].mean(axis=0)).mean(axis=1)
        contrast_drift[all_] = contrast[all_] - contrast[first].mean()
    for part in parts:
        names[part.start : part.stop] = [part.name] * (part.stop - part.start)
    return (
        frames.append_column("seconds", pa.array(np.arange(len(frames)) / fps))
        .append_column("segment", pa.array(names, pa.string()))
        .append_column("colour_drift", pa.array(drift))
        .append_column("contrast_drift", pa.array(contrast_drift))
    )


def takes_of(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """Frames [start, stop) of each chain of parts without a cut."""
    starts = [part.start for part in parts if not part.goes_on]
    return list(zip(starts, [*starts[1:], parts[-1].stop], strict=True))


def measure_parts(frames: pa.Table, parts: Sequence[Part]) -> pa.Table:
    """A row for each part, of the table of `with_drift`."""
    columns = {name: frames[name].to_numpy(zero_copy_only=False) for name in frames.column_names}
    rows = []
    for before, part in zip([None, *parts[:-1]], parts, strict=True):
        inside, looked = slice(part.start + 1, part.stop), slice(part.start + 1, part.stop - 1)
        rows.append(
            {
                "segment": part.name,
                "first_frame": part.start,
                "num_frames": part.stop - part.start,
                "seam_jump": _seam_jump(columns["difference"], before, part),
                "flicker": _mean(columns["flicker"][looked]),
                "motion_px": _mean(columns["motion_px"][inside]),
                "moving_share": _mean(columns["moving_share"][inside]),
                "brightness": _mean(columns["brightness"][part.start : part.stop]),
                "contrast": _mean(columns["contrast"][part.start : part.stop]),
                "colour_drift": _mean(columns["colour_drift"][part.start : part.stop]),
                "contrast_drift": _mean(columns["contrast_drift"][part.start : part.stop]),
            }
        )
    return pa.Table.from_pylist(rows, schema=PARTS)


PARTS = pa.schema(
    [
        ("segment", pa.string()),
        ("first_frame", pa.int64()),
        ("num_frames", pa.int64()),
        *(
            (name, pa.float64())
            for name in (
                *("seam_jump", "flicker", "motion_px", "moving_share", "brightness", "contrast"),
                *("colour_drift", "contrast_drift"),
            )
        ),
    ]
)


# Means over a segment, and how many of its frames are not among them, as they look into another one.
LEFT_OUT = {"flicker": 2, "motion_px": 1, "moving_share": 1, "colour_drift": 0, "contrast_drift": 0}


def film_figures(frames: pa.Table, parts: pa.Table) -> dict[str, Any]:
    """The film in a few numbers, means over all that its segments measure; None where there is nothing to."""
    rows = parts.to_pylist()
    jumps = [row["seam_jump"] for row in rows if row["seam_jump"] is not None]
    worst = max(rows, key=lambda row: -1.0 if row["seam_jump"] is None else row["seam_jump"])
    return {
        "num_frames": len(frames),
        "num_seams": len(jumps),
        "seam_jump": float(np.mean(jumps)) if jumps else None,
        "worst_seam_jump": worst["seam_jump"],
        "worst_seam": worst["segment"] if jumps else None,
        **{name: _weighted(rows, name, num_left_out) for name, num_left_out in LEFT_OUT.items()},
        "largest_colour_drift": float(np.max(frames["colour_drift"].to_numpy())),
        "largest_contrast_drift": max(frames["contrast_drift"].to_pylist(), key=abs),
    }


def _seam_jump(differences: np.ndarray, before: Part | None, part: Part) -> float | None:
    if before is None or not part.goes_on:
        return None
    inside = np.concatenate([differences[before.start + 1 : before.stop], differences[part.start + 1 : part.stop]])
    mean = _mean(inside)
    return None if mean is None else float(differences[part.start] / max(mean, STILL))


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _weighted(rows: list[dict[str, Any]], name: str, num_left_out: int) -> float | None:
    known = [(row[name], row["num_frames"] - num_left_out) for row in rows if row[name] is not None]
    if not known:
        return None
    values, weights = zip(*known, strict=True)
    return float(np.average(values, weights=weights))
