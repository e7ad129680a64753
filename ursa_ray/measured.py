"""A film or a run measured: its frames, its segments, and a few figures; as text, a plot and Parquet."""

from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import MediaError, OptionError
from ursa_ray.files import published
from ursa_ray.known import filmed_run, planned, said_by
from ursa_ray.measures import Part, film_figures, measure_frames, measure_parts, plot_frames, with_drift
from ursa_ray.media import Watch, probe, unwatched
from ursa_ray.media.ffmpeg import FORMATS
from ursa_ray.media.frames import decode_frames
from ursa_ray.provenance import Provenance, read_provenance
from ursa_ray.wording import count_of, printable

COLUMNS = {
    "seam_jump": "seam jump",
    "flicker": "flicker",
    "motion_px": "motion px",
    "moving_share": "moving share",
    "colour_drift": "colour drift",
    "contrast_drift": "contrast drift",
}


@dataclass(frozen=True)
class Measured:
    """Attributes:
    frames: a row for every frame (`measures.with_drift`).
    segments: a row for every segment that shows, or one for a film that does not say what it is made of.
    figures: of the whole film.
    """

    name: str
    frames: pa.Table
    segments: pa.Table
    figures: dict[str, Any]
    parts: tuple[Part, ...]

    @property
    def plot(self) -> str:
        return plot_frames(self.frames, self.parts)


def measure(name: str, watch: Watch = unwatched) -> Measured:
    """Measure a film, any video that `media` reads, or the film of a finished run.

    Raises:
        OptionError: it is neither, or the run's film is not joined yet, or never will be.
        LedgerError: the run is damaged.
    """
    with _film(name) as (path, provenance):
        return measure_film(name, path, provenance, watch)


def measure_film(name: str, path: Path, provenance: Provenance | None, watch: Watch) -> Measured:
    """Measure the file of a film that is made as `provenance` says; None if that is not known."""
    try:
        fps, num_frames = _length(path, provenance)
        frames = measure_frames(watch(decode_frames(path), num_frames))
    except MediaError as error:
        raise OptionError(f"{name}: is no whole {FORMATS} video ({error}). Give a film, or a run.") from None
    if len(frames) != num_frames:
        raise OptionError(
            f"{name}: has {count_of(len(frames), 'frame')}, not the {num_frames} that it says. Give another copy."
        )
    parts = [Part("film", 0, len(frames))] if provenance is None else parts_of(provenance)
    frames = with_drift(frames, parts, fps)
    segments = measure_parts(frames, parts)
    return Measured(name, frames, segments, film_figures(frames, segments), tuple(parts))


def parts_of(provenance: Provenance) -> list[Part]:
    """The frames of the file that each segment shows; one that shows none is not among them."""
    film_frames = map(provenance.film_frame, range(provenance.file.num_frames))
    numbers = [bisect(provenance.starts, frame) - 1 for frame in film_frames]
    segments, parts, start, before = provenance.plan.segments, list[Part](), 0, None
    for number, group in groupby(numbers):
        stop = start + sum(1 for _ in group)
        goes_on = before is not None and segments[number].parent == segments[before].key
        parts.append(Part(segments[number].name, start, stop, goes_on))
        start, before = stop, number
    return parts


def measured_text(measured: Measured) -> str:
    """A line for every segment, and one for the film."""
    rows = measured.segments.to_pylist()
    width = max(len("segment"), *(len(row["segment"]) for row in rows))
    lines = [f"{'segment':<{width}}  frames  " + "  ".join(COLUMNS.values())]
    for row in [*rows, _film_row(measured)] if len(rows) > 1 else rows:
        cells = [f"{_number(row[name]):>{len(title)}}" for name, title in COLUMNS.items()]
        lines.append("  ".join([f"{row['segment']:<{width}}", f"{row['num_frames']:>6}", *cells]))
    if measured.figures["worst_seam"] is not None:
        lines.append(
            f"worst seam: {measured.figures['worst_seam_jump']:.2f} at {measured.figures['worst_seam']}; "
            "1 is a join that does not show"
        )
    return printable(lines)


def measured_summary(measured: Measured) -> dict[str, Any]:
    return {"film": measured.name, **measured.figures, "segments": measured.segments.to_pylist()}


def write_measures(measured: Measured, folder: Path) -> list[Path]:
    """Write frames.parquet, segments.parquet, measures.txt and measures.svg, each whole or not at all."""
    paths = [folder / name for name in ("frames.parquet", "segments.parquet", "measures.txt", "measures.svg")]
    frames, segments, text, plot = paths
    with published(frames) as aside:
        pq.write_table(measured.frames, aside)
    with published(segments) as aside:
        pq.write_table(measured.segments, aside)
    for path, content in ((text, measured_text(measured) + "\n"), (plot, measured.plot)):
        with published(path) as aside:
            aside.write_text(content)
    return paths


@contextmanager
def _film(name: str) -> Iterator[tuple[Path, Provenance | None]]:
    path = Path(name)
    if not name.startswith("s3://") and not path.is_dir():
        if not path.is_file():
            raise OptionError(f"{name}: there is no such file or folder. Give a film, or a run.")
        yield path, _said(path)
        return
    run, plan = filmed_run(name)
    with run.film_of(plan) as film:
        if film is None:
            raise OptionError(f"{name}: its film is not joined yet. Render on, then measure.")
        yield film, said_by(film, plan) or planned(plan)


def _said(path: Path) -> Provenance | None:
    try:
        return read_provenance(path)
    except OptionError:
        return None


def _length(path: Path, provenance: Provenance | None) -> tuple[float, int]:
    if provenance is not None:
        return float(provenance.file.fps), provenance.file.num_frames
    info = probe(path)
    return float(info.fps), info.num_frames


def _film_row(measured: Measured) -> dict[str, Any]:
    figures = measured.figures
    drift = {name: figures[f"largest_{name}"] for name in ("colour_drift", "contrast_drift")}
    return figures | drift | {"segment": "film"}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
