"""Which segment, prompt, seed and settings are behind an instant of a film: from the film alone, or its run.

A film says so itself (`provenance`). Its run, which is the folder that it lies in or the one that is given, also
knows where and when each segment was made.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ursa_ray.errors import LedgerError, MediaError, OptionError
from ursa_ray.known import planned, planned_run, require_film, said_by
from ursa_ray.ledger import Commit, Run
from ursa_ray.media import png_size, probe
from ursa_ray.plan import Segment
from ursa_ray.provenance import Encoded, Provenance, misfit, read_provenance
from ursa_ray.storyboard.durations import parse_instant
from ursa_ray.wording import count_of, seconds_text


@dataclass(frozen=True)
class Instant:
    """A moment of a film and what is behind it.

    Attributes:
        frame: of the file.
        film_frame: of the film as planned; another one where the file has another frame rate.
        segment_frame: of what the model made, of which the first ones repeat the segment before.
        commit: None if the run is not at hand.
    """

    frame: int
    film_frame: int
    segment: Segment
    segment_frame: int
    commit: Commit | None


@dataclass(frozen=True)
class Opened:
    """Attributes:
    run: None if it is not at hand.
    is_exact: whether it is known with which frame each segment begins; else it may be a few earlier.
    misfit: why the file is not the one that is described, and what to do; None if it is.
    """

    provenance: Provenance
    run: Run | None
    is_exact: bool
    misfit: str | None


@dataclass(frozen=True)
class Explained:
    """Attributes are as of `Opened`; `instant` is None if none was asked for."""

    name: str
    provenance: Provenance
    run: Run | None
    is_exact: bool
    misfit: str | None
    instant: Instant | None

    @property
    def is_sampling(self) -> bool:
        """Whether it is of single results, which are no film together."""
        return self.run is not None and self.run.is_sampling and not self.is_exact


def explain(asked: str) -> Explained:
    """Explain `FILM`, `FILM@TIME`, `RUN` or `RUN@TIME`; a time is `12.5s`, or `#150` for a frame.

    A film may be a single image, which has one instant.

    Raises:
        OptionError: it is neither a film of ursa-ray nor a run, or has no such instant, or another program cut the
            film or changed its speed, so that nobody knows which instant that is.
        LedgerError: the run is damaged.
    """
    name, time = split_instant(asked)
    with opened(name) as found:
        if time is None and found.provenance.file.codec == "png" and found.misfit is None:
            time = "#0"
        instant = None if time is None else _instant(name, time, found)
        return Explained(name, found.provenance, found.run, found.is_exact, found.misfit, instant)


def split_instant(asked: str) -> tuple[str, str | None]:
    """The name of a film or a run and a time; a name may have an @ of its own."""
    if "@" not in asked or os.path.exists(asked):  # of a `Path` that is too long for a name it would be an error
        return asked, None
    name, _, time = asked.rpartition("@")
    return name, time


@contextmanager
def opened(name: str) -> Iterator[Opened]:
    """What a film or a run is made of, for as long as the context lasts."""
    path = Path(name)
    if not name.startswith("s3://") and path.is_file():
        provenance = read_provenance(path)
        yield Opened(provenance, _run_around(path, provenance), True, _misfit(path, provenance))
        return
    if not name.startswith("s3://") and not path.is_dir():
        raise OptionError(f"{name}: there is no such file or folder. Give a film, or the run that it is of.")
    run, plan = planned_run(name)
    with run.film_of(plan) as film:
        said = None if film is None else said_by(film, plan)
    yield Opened(said or planned(plan), run, said is not None, None)


def _misfit(film: Path, provenance: Provenance) -> str | None:
    """All of the film is decoded, which takes 0.7 ms a frame of 512x320: headers are often wrong."""
    file = provenance.file
    try:
        return _misfit_of_picture(film, file) if file.codec == "png" else misfit(probe(film), file)
    except MediaError as error:
        return f"is damaged ({error}). Give another copy, or its run."


def _misfit_of_picture(picture: Path, said: Encoded) -> str | None:
    width, height = png_size(picture)
    if (width, height) == (said.width, said.height):
        return None
    return (
        f"is {width}x{height}, not the {said.width}x{said.height} that it says: another program changed it. "
        "Give the image as ursa-ray wrote it, or its run."
    )


def _run_around(film: Path, provenance: Provenance) -> Run | None:
    """The run in whose folder a film lies, if it knows of what the film is made."""
    try:
        run = Run.find(film.resolve().parent)
    except (OptionError, LedgerError):
        return None  # what the film says itself holds without it
    return run if run is not None and any(key in run.segments for key in provenance.plan.by_key) else None


def _instant(name: str, time: str, found: Opened) -> Instant:
    if found.misfit is not None:
        raise OptionError(f"{name}: {found.misfit}")
    provenance, run = found.provenance, found.run
    if run is not None and not found.is_exact:
        require_film(run)
    index = _frame(name, time, provenance.file)
    film_frame = provenance.film_frame(index)
    segment = provenance.segment_at(film_frame)
    segment_frame = segment.shown[0] + film_frame - segment.film[0]
    return Instant(index, film_frame, segment, segment_frame, None if run is None else run.segments.get(segment.key))


def _frame(name: str, time: str, file: Encoded) -> int:
    try:
        index = _number(time[1:]) if time.startswith("#") else int(parse_instant(time) * file.fps)
    except ValueError as error:
        raise OptionError(f"{name}@{time[:40]}: is no instant: {error}.") from None
    if not 0 <= index < file.num_frames:
        raise OptionError(
            f"{name}@{time}: is not in the film, which has {count_of(file.num_frames, 'frame')} in "
            f"{seconds_text(Fraction(file.num_frames) / file.fps)}. Give a time before its end, or #0 to "
            f"#{file.num_frames - 1}."
        )
    return index


def _number(digits: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,18}", digits) is None:
        raise ValueError("expected a frame such as #150")
    return int(digits)
