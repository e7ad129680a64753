"""What was measured as one table of text, as Parquet, and as plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.evaluation.drift import by_second
from ursa_ray.evaluation.figures import Figure
from ursa_ray.evaluation.plots import plot_bars, plot_lines

# What is asked of the built-in model; by part, as names recur.
BARS: dict[str, dict[str, float]] = {
    "adherence": {"background": 0.95, "colour": 0.95, "direction": 0.85, "shape": 0.80, "speed order": 0.85}
}


def text_table(parts: Mapping[str, Sequence[Figure]]) -> str:
    """A heading for every part, then value, 95 % interval, counts and bar, one line a figure."""
    width = max(len(figure.name) for figures in parts.values() for figure in figures)
    lines = []
    for part, figures in parts.items():
        lines.append(f"{part:<{width}}   value  95 % interval   of             bar")
        for figure in figures:
            low, high = figure.interval
            bar = f"{BARS[part][figure.name]:.2f}" if figure.name in BARS.get(part, {}) else ""
            line = f"{figure.name:<{width}}  {figure.value:>6.3f}  {low:.3f} to {high:.3f}  {figure.counted:<13}  {bar}"
            lines.append(line.rstrip())
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def figures_table(parts: Mapping[str, Sequence[Figure]]) -> pa.Table:
    columns = ("part", "name", "value", "low", "high", "counted", "bar")
    rows = [
        (part, figure.name, figure.value, *figure.interval, figure.counted, BARS.get(part, {}).get(figure.name))
        for part, figures in parts.items()
        for figure in figures
    ]
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])


def seconds_text(table: pa.Table) -> str:
    """One line a second, over all films."""
    rows = by_second(table).to_pylist()
    lines = [f"{'second':>6}  {'background error':>16}  {'object present':>14}  {'colour kept':>11}  strays  flicker"]
    for row in rows:
        present, kept = ("-" if row[name] is None else f"{row[name]:.3f}" for name in ("object_present", "colour_kept"))
        lines.append(
            f"{row['second']:>6}  {row['background_error']:>16.2f}  {present:>14}  {kept:>11}  "
            f"{row['strays']:>6.2f}  {row['flicker']:>7.2f}"
        )
    return "\n".join(lines) + "\n"


def seconds_plot(table: pa.Table, title: str) -> str:
    def of_films(values: np.ndarray) -> np.ndarray:
        """(films, seconds)"""
        return values.reshape(-1, len(np.unique(table["second"].to_numpy())))

    number = {
        name: of_films(table[name].to_numpy().astype(float)) for name in table.column_names if _is_number(table, name)
    }
    with np.errstate(invalid="ignore"):
        panels = {
            "background error over the first second": number["background_error"] / number["background_error"][:, :1],
            "object present, of frames that should show it": number["num_present"] / number["num_due"],
            "colour kept, of frames that show it clearly": number["num_right"] / number["num_clear"],
            "strays a frame": number["num_strays"] / number["num_frames"],
            "flicker, grey levels": number["flicker"],
        }
    return plot_lines(panels, title)


def write_part(folder: Path, part: str, table: pa.Table, figures: Sequence[Figure], title: str) -> None:
    """Write `PART.parquet` and `PART.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{part}.parquet")
    (folder / f"{part}.svg").write_text(plot_bars(figures, f"{part}: {title}", BARS.get(part, {})))


def write_seconds(folder: Path, table: pa.Table, title: str) -> None:
    """Write `seconds.txt` and `seconds.svg`: films as they go on."""
    (folder / "seconds.txt").write_text(seconds_text(table))
    (folder / "seconds.svg").write_text(seconds_plot(table, f"drift: {title}"))


def write_figures(folder: Path, parts: Mapping[str, Sequence[Figure]]) -> str:
    """Write `figures.parquet` and `figures.txt`; returns the text."""
    text = text_table(parts)
    pq.write_table(figures_table(parts), folder / "figures.parquet")
    (folder / "figures.txt").write_text(text)
    return text


def _is_number(table: pa.Table, name: str) -> bool:
    return not pa.types.is_string(table.schema.field(name).type)
