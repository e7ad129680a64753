"""Measures over the film, as SVG in the colours of the text around it."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pyarrow as pa

from ursa_ray.measures.parts import Part

PANELS = {
    "difference": "difference from the frame before, grey levels; seams are marked, cuts left out",
    "flicker": "flicker, grey levels",
    "motion_px": "motion, px a frame",
    "colour_drift": "colour drift within the take, grey levels",
    "contrast_drift": "contrast drift within the take, grey levels",
}
WIDTH_PX, LEFT_PX, RIGHT_PX = 760, 44, 8
PANEL_PX, GAP_PX, TOP_PX = 64, 30, 22
MAX_POINTS = 700  # about one a pixel


def plot_frames(frames: pa.Table, parts: Sequence[Part], is_alone: bool = True) -> str:
    """Every measure under each other, over seconds; `is_alone` for a file of its own, with a white ground.

    Of a film with more frames than pixels, every point is the largest of several.
    """
    seconds, seams = frames["seconds"].to_numpy(), [part.start for part in parts if part.goes_on]
    cuts = np.array([part.start for part in parts if not part.goes_on])
    # A cut is hundreds of times what happens within a take, which would be a flat line.
    left_out = {"difference": cuts, "flicker": np.concatenate([cuts, cuts[1:] - 1])}
    drawn = []
    for number, (name, title) in enumerate(PANELS.items()):
        values = frames[name].to_numpy(zero_copy_only=False).astype(float).copy()
        values[left_out.get(name, [])] = np.nan
        top = TOP_PX + number * (PANEL_PX + GAP_PX)
        drawn += _panel(title, values, seconds, top, seams if name == "difference" else [])
    height = TOP_PX + len(PANELS) * (PANEL_PX + GAP_PX) - GAP_PX + 22
    drawn.append(_text(WIDTH_PX - RIGHT_PX, height - 6, f"{seconds[-1]:.1f} s", "end"))
    drawn.append(_text(LEFT_PX, height - 6, "0 s", "start"))
    ground = '<rect width="100%" height="100%" fill="white"/>' if is_alone else ""
    colour = ' color="#222"' if is_alone else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" width="{WIDTH_PX}"{colour} '
        f'role="img" aria-label="Measures over the film" font-family="sans-serif" font-size="12">{ground}'
        + "\n".join(drawn)
        + "</svg>\n"
    )


def _panel(title: str, values: np.ndarray, seconds: np.ndarray, top: int, seams: list[int]) -> list[str]:
    known = values[np.isfinite(values)]
    low, high = min(0.0, float(known.min(initial=0))), max(1.0, float(known.max(initial=0)))
    bottom, span = top + PANEL_PX, float(seconds[-1]) or 1.0

    def x(second: float) -> float:
        return LEFT_PX + (WIDTH_PX - LEFT_PX - RIGHT_PX) * second / span

    def y(value: float) -> float:
        return bottom - PANEL_PX * (value - low) / (high - low)

    points = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in _thinned(seconds, values))
    marks = [
        f'<path d="M{x(seconds[seam]):.1f} {top}V{bottom}" stroke="#c0392b" stroke-opacity="0.45"/>' for seam in seams
    ]
    return [
        _text(LEFT_PX, top - 6, title, "start"),
        _text(LEFT_PX - 5, top + 9, f"{high:.3g}", "end"),
        _text(LEFT_PX - 5, bottom, f"{low:.3g}", "end"),
        f'<path d="M{LEFT_PX} {top}V{bottom}H{WIDTH_PX - RIGHT_PX}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.4"/>',
        *marks,
        f'<polyline points="{points}" fill="none" stroke="#3b82c4" stroke-width="1.5"/>',
    ]


def _thinned(seconds: np.ndarray, values: np.ndarray) -> list[tuple[float, float]]:
    known = np.isfinite(values)
    seconds, values = seconds[known], values[known]
    every = max(1, -(-len(values) // MAX_POINTS))
    starts = range(0, len(values), every)
    picked = [start + int(np.abs(values[start : start + every]).argmax()) for start in starts]
    return [(float(seconds[index]), float(values[index])) for index in picked]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'
