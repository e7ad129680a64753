"""Plots as SVG: bars with their intervals, and lines over the seconds of films."""

from collections.abc import Mapping, Sequence

import numpy as np

from ursa_ray.evaluation.figures import Figure

ROW_PX, LABEL_PX, PLOT_PX, VALUE_PX = 26, 270, 420, 170
PANEL_PX, GAP_PX, LEFT_PX, RIGHT_PX = 110, 34, 60, 20
INK, FILL, BAR, PALE = "#333333", "#4a7fb5", "#c0392b", "#b9cde0"


def plot_bars(figures: Sequence[Figure], title: str, bars: Mapping[str, float]) -> str:
    """A bar and its interval for every figure, and a red line where `bars` has one of its name."""
    full = max(1.0, *(figure.interval[1] for figure in figures))
    parts = [_text(8, 18, title, 'font-weight="bold"')]
    for index, figure in enumerate(figures):
        parts += _row(figure, ROW_PX * (index + 1) + 4, PLOT_PX / full, bars.get(figure.name))
    return _svg(LABEL_PX + PLOT_PX + VALUE_PX, ROW_PX * (len(figures) + 1) + 8, parts)


def plot_lines(panels: Mapping[str, np.ndarray], title: str) -> str:
    """Under each other: for every panel, float (films, seconds), a pale line a film and one for their mean."""
    parts = [_text(8, 18, title, 'font-weight="bold"')]
    for index, (name, values) in enumerate(panels.items()):
        parts += _panel(name, values, 30 + GAP_PX + index * (PANEL_PX + GAP_PX))
    width = LEFT_PX + LABEL_PX + PLOT_PX + RIGHT_PX
    return _svg(width, 50 + len(panels) * (PANEL_PX + GAP_PX) + GAP_PX, parts)


def _row(figure: Figure, top: int, unit_px: float, bar: float | None) -> list[str]:
    low, high = figure.interval
    middle = top + ROW_PX / 2
    value = f"{figure.value:.3f} ({low:.3f} to {high:.3f})"
    marks = [
        _text(LABEL_PX - 8, middle + 4, figure.name, 'text-anchor="end"'),
        f'<rect x="{LABEL_PX}" y="{top + 4}" width="{unit_px * figure.value:.1f}" height="{ROW_PX - 8}" '
        f'fill="{FILL}"/>',
        _line((LABEL_PX + unit_px * low, middle), (LABEL_PX + unit_px * high, middle), INK),
        _text(LABEL_PX + PLOT_PX + 8, middle + 4, value),
    ]
    if bar is not None:
        x = LABEL_PX + unit_px * bar
        marks.append(_line((x, top + 1), (x, top + ROW_PX - 1), BAR))
    return marks


def _panel(name: str, values: np.ndarray, top: int) -> list[str]:
    width = LABEL_PX + PLOT_PX
    highest = max(1.0, float(np.nanmax(values, initial=0)))
    bottom = top + PANEL_PX

    def path(line: np.ndarray, colour: str, thickness: float) -> str:
        x = LEFT_PX + width * np.arange(len(line)) / max(1, len(line) - 1)
        y = bottom - PANEL_PX * line / highest
        known = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
        return f'<polyline points="{known}" fill="none" stroke="{colour}" stroke-width="{thickness}"/>'

    known = np.isfinite(values)
    means = np.where(known.any(axis=0), np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
    return [
        _text(LEFT_PX, top - 6, name),
        _text(LEFT_PX - 6, top + 10, f"{highest:.3g}", 'text-anchor="end"'),
        _text(LEFT_PX - 6, bottom, "0", 'text-anchor="end"'),
        _line((LEFT_PX, top), (LEFT_PX, bottom), INK),
        _line((LEFT_PX, bottom), (LEFT_PX + width, bottom), INK),
        *(path(film, PALE, 1) for film in values),
        path(means, FILL, 2.5),
        _text(LEFT_PX + width, bottom + 14, f"{values.shape[1]} s", 'text-anchor="end"'),
    ]


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, style: str = "") -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escaped}</text>'


def _line(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2"/>'
