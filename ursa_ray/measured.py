"""A film or a run measured: its frames, its segments, and a few figures; as text, a plot and Parquet."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import MediaError, OptionError
from ursa_ray.files import published
from ursa_ray.known import filmed_run, planned, said_by
from ursa_ray.measures import Part, film_figures, measure_frames, measure_parts, plot_frames, with_drift
from ursa_ray.media import VideoInfo, Watch, probe, unwatched
from ursa_ray.media.ffmpeg import FORMATS
from ursa_ray.media.frames import decode_frames
from ursa_ray.provenance import Provenance, misfit, read_provenance
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
    frames: a row for every frame of the film (`measures.with_drift`).
    segments: a row for every segment that shows, or one for a film that does not say what it is made of.
    figures: of the whole film.
    note: what else must be known to read them; None if nothing.
    """

    name: str
    frames: pa.Table
    segments: pa.Table
    figures: dict[str, Any]
    parts: tuple[Part, ...]
    note: str | None

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
        info = probe(path)
        require_measurable(name, info, provenance)
        frames = watch(decode_frames(path), info.num_frames)
        table = measure_frames(frames if provenance is None else compress(frames, _new(provenance)))
    except MediaError as error:
        raise OptionError(f"{name}: is no whole {FORMATS} video ({error}). Give a film, or a run.") from None
    parts = [Part("film", 0, len(table))] if provenance is None else parts_of(provenance)
    fps = info.fps if provenance is None or provenance.file.retime == "speed" else provenance.plan.fps
    table = with_drift(table, parts, float(fps))
    segments = measure_parts(table, parts)
    return Measured(name, table, segments, film_figures(table, segments), tuple(parts), _note(provenance))


def require_measurable(name: str, info: VideoInfo, provenance: Provenance | None) -> None:
    """Refuse a file that is not the film that it says, or not all of it: some steps would be of several frames."""
    if provenance is None:
        return
    if (problem := misfit(info, provenance.file)) is not None:
        raise OptionError(f"{name}: {problem}")
    if sum(_new(provenance)) < provenance.plan.num_frames:
        raise OptionError(
            f"{name}: has {count_of(provenance.file.fps, 'frame')} a second, so frames of the film fell away. Measure "
            f"its run, or an export at {count_of(provenance.plan.fps, 'frame')} a second."
        )


def parts_of(provenance: Provenance) -> list[Part]:
    """The frames of the film that each segment shows; one that shows none is not among them."""
    stops = [*provenance.starts[1:], provenance.plan.num_frames]
    parts, before = list[Part](), None
    for segment, start, stop in zip(provenance.plan.segments, provenance.starts, stops, strict=True):
        if start < stop:
            parts.append(Part(segment.name, start, stop, before is not None and segment.parent == before))
            before = segment.key
    return parts


def measured_text(measured: Measured) -> str:
    """A line for every segment, and one for the film."""
    rows = measured.segments.to_pylist()
    width = max(len("segment"), *(len(row["segment"]) for row in rows))
    lines = [f"{'segment':<{width}}  frames  " + "  ".join(COLUMNS.values())]
    for row in [*rows, measured.figures | {"segment": "film"}] if len(rows) > 1 else rows:
        cells = [f"{_number(row[name]):>{len(title)}}" for name, title in COLUMNS.items()]
        lines.append("  ".join([f"{row['segment']:<{width}}", f"{row['num_frames']:>6}", *cells]))
    if measured.figures["worst_seam"] is not None:
        lines.append(
            f"worst seam: {measured.figures['worst_seam_jump']:.2f} at {measured.figures['worst_seam']}; "
            "1 is a join that does not show"
        )
    drift = (measured.figures[f"largest_{name}_drift"] for name in ("colour", "contrast"))
    lines.append("largest drift of a frame: {:.2f} in colour, {:.2f} in contrast".format(*drift))
    if measured.note is not None:
        lines.append(measured.note)
    return printable(lines)


def measured_summary(measured: Measured) -> dict[str, Any]:
    return {"film": measured.name, "note": measured.note, **measured.figures, "segments": measured.segments.to_pylist()}


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


def _new(provenance: Provenance) -> list[bool]:
    """Of every frame of the file, whether it is another one of the film than the one before."""
    shown = map(provenance.film_frame, range(provenance.file.num_frames))
    return [True, *(frame != before for before, frame in pairwise(shown))]


def _note(provenance: Provenance | None) -> str | None:
    if provenance is None:
        return "its shots are not known: cuts in it count as difference, flicker and drift"
    if provenance.file.num_frames > provenance.plan.num_frames:
        return f"frames are those of the film, {provenance.plan.fps} a second, each measured once"
    return None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
