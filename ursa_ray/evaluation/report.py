"""Rates as text, as Parquet, and as a plot."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.evaluation.rates import Rate

# What issue 3 asks of the built-in model.
BARS = {"background": 0.95, "colour": 0.95, "direction": 0.85, "shape": 0.80, "speed order": 0.85}

ROW_PX, LABEL_PX, PLOT_PX, VALUE_PX = 26, 110, 420, 170
INK, FILL, BAR = "#333333", "#4a7fb5", "#c0392b"


def text_table(rates: Sequence[Rate]) -> str:
    """Share, 95 % interval and counts, one line a rate."""
    lines = [f"{'':<12} {'share':>6}  {'95 % interval':<15} {'right of all':<13} bar"]
    for rate in rates:
        low, high = rate.interval
        bar = f"{BARS[rate.name]:.2f}" if rate.name in BARS else ""
        line = (
            f"{rate.name:<12} {rate.share:>6.3f}  {low:.3f} to {high:.3f}  {f'{rate.right} of {rate.total}':<13} {bar}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def rates_table(rates: Sequence[Rate]) -> pa.Table:
    columns = ("name", "right", "total", "share", "low", "high")
    rows = [(rate.name, rate.right, rate.total, rate.share, *rate.interval) for rate in rates]
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])


def svg_plot(rates: Sequence[Rate], title: str) -> str:
    """A bar and its interval for every rate, and a red line where a bar of BARS is."""
    height = ROW_PX * (len(rates) + 1) + 8
    parts = [f'<text x="8" y="18" font-weight="bold">{_escaped(title)}</text>']
    for index, rate in enumerate(rates):
        parts.append(_plot_row(rate, ROW_PX * (index + 1) + 4))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL_PX + PLOT_PX + VALUE_PX}" height="{height}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def write_report(folder: Path, table: pa.Table, rates: Sequence[Rate], title: str) -> None:
    """Write `clips.parquet`, `rates.parquet`, `rates.txt` and `rates.svg` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "clips.parquet")
    pq.write_table(rates_table(rates), folder / "rates.parquet")
    (folder / "rates.txt").write_text(text_table(rates))
    (folder / "rates.svg").write_text(svg_plot(rates, title))


def _plot_row(rate: Rate, top: int) -> str:
    low, high = rate.interval
    middle = top + ROW_PX / 2
    marks = [
        f'<text x="{LABEL_PX - 8}" y="{middle + 4}" text-anchor="end">{_escaped(rate.name)}</text>',
        f'<rect x="{LABEL_PX}" y="{top + 4}" width="{PLOT_PX * rate.share:.1f}" height="{ROW_PX - 8}" fill="{FILL}"/>',
        f'<line x1="{_x(low)}" x2="{_x(high)}" y1="{middle}" y2="{middle}" stroke="{INK}" stroke-width="2"/>',
        f'<text x="{LABEL_PX + PLOT_PX + 8}" y="{middle + 4}">{rate.share:.3f} ({low:.3f} to {high:.3f})</text>',
    ]
    if rate.name in BARS:
        x = _x(BARS[rate.name])
        marks.append(
            f'<line x1="{x}" x2="{x}" y1="{top + 1}" y2="{top + ROW_PX - 1}" stroke="{BAR}" stroke-width="2"/>'
        )
    return "\n".join(marks)


def _x(share: float) -> str:
    return f"{LABEL_PX + PLOT_PX * share:.1f}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
