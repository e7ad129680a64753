"""Which segment, prompt, seed and settings are behind an instant of a film: from the film alone, or its run.

A film says so itself (`provenance`). Its run, which is the folder that it lies in or the one that is given, also
knows where and when each segment was made.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger import SAMPLES, Commit, Run
from ursa_ray.plan import Plan, Segment
from ursa_ray.provenance import Encoded, Provenance, read_provenance
from ursa_ray.storyboard.durations import parse_instant


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
class Explained:
    """Attributes:
    run: None if it is not at hand.
    is_exact: whether it is known with which frame each segment begins; else it may be a few earlier.
    instant: None if none was asked for.
    """

    name: str
    provenance: Provenance
    run: Run | None
    is_exact: bool
    instant: Instant | None

    @property
    def is_sampling(self) -> bool:
        """Whether it is of single results, which are no film together."""
        return self.run is not None and self.run.is_sampling and not self.is_exact


def explain(asked: str) -> Explained:
    """Explain `FILM`, `FILM@TIME`, `RUN` or `RUN@TIME`; a time is `12.5s`, or `#150` for a frame.

    A film may be a single image, which has one instant.

    Raises:
        OptionError: it is neither a film of ursa-ray nor a run, or has no such instant.
        LedgerError: the run is damaged.
    """
    name, time = split_instant(asked)
    with opened(name) as (provenance, run, is_exact):
        if time is None and provenance.file.codec == "png":
            time = "#0"
        if time is None:
            return Explained(name, provenance, run, is_exact, None)
        if run is not None and not is_exact:
            require_film(run)
        return Explained(name, provenance, run, is_exact, _instant(name, time, provenance, run))


def split_instant(asked: str) -> tuple[str, str | None]:
    """The name of a film or a run and a time; a name may have an @ of its own."""
    if "@" not in asked or os.path.exists(asked):  # of a `Path` that is too long for a name it would be an error
        return asked, None
    name, _, time = asked.rpartition("@")
    return name, time


@contextmanager
def opened(name: str) -> Iterator[tuple[Provenance, Run | None, bool]]:
    """What a film or a run is made of, the run if it is at hand, and whether it is known exactly."""
    path = Path(name)
    if not name.startswith("s3://") and path.is_file():
        provenance = read_provenance(path)
        yield provenance, _run_around(path, provenance), True
        return
    if not name.startswith("s3://") and not path.is_dir():
        raise OptionError(f"{name}: there is no such file or folder. Give a film, or the run that it is of.")
    run, plan = planned_run(name)
    with run.film_of(plan) as film:
        said = None if film is None else said_by(film, plan)
    yield said or planned(plan), run, said is not None


def planned_run(url: str) -> tuple[Run, Plan]:
    """A run and its plan.

    Raises:
        OptionError: it is no run, or has no plan.
        LedgerError: it is damaged.
    """
    run = Run.open(url)
    plan = run.plan()
    if plan is None:
        raise OptionError(f"{run.url}: nothing is planned here yet. Render a storyboard first.")
    return run, plan


def require_film(run: Run) -> None:
    """Refuse a run that will never have a film."""
    if run.is_sampling:
        raise OptionError(
            f"{run.url}: is of single images or videos, which lie in {SAMPLES}/ or where --out said; of all of them "
            f"there is no film. What each is made of says: ursa-ray explain {run.url}"
        )


def said_by(film: Path, plan: Plan) -> Provenance | None:
    """What the film of a plan says, if it says anything and that it is of this plan."""
    try:
        found = read_provenance(film)
    except OptionError:
        return None
    return found if found.plan.sha256 == plan.sha256 else None


def planned(plan: Plan) -> Provenance:
    """What is known before a film is joined: segments begin as planned, or a few frames earlier."""
    encoded = Encoded("none yet", plan.width, plan.height, plan.fps, plan.num_frames)
    return Provenance(plan, tuple(segment.film[0] for segment in plan.segments), encoded, {})


def _run_around(film: Path, provenance: Provenance) -> Run | None:
    """The run in whose folder a film lies, if it knows of what the film is made."""
    try:
        run = Run.find(film.resolve().parent)
    except (OptionError, LedgerError):
        return None  # what the film says itself holds without it
    return run if run is not None and any(key in run.segments for key in provenance.plan.by_key) else None


def _instant(name: str, time: str, provenance: Provenance, run: Run | None) -> Instant:
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
            f"{name}@{time}: is not in the film, which has {file.num_frames} frames in "
            f"{seconds_text(Fraction(file.num_frames) / file.fps)}. Give a time before its end, or #0 to "
            f"#{file.num_frames - 1}."
        )
    return index


def _number(digits: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,18}", digits) is None:
        raise ValueError("expected a frame such as #150")
    return int(digits)


def seconds_text(seconds: Fraction) -> str:
    return f"{float(seconds):.3f}".rstrip("0").rstrip(".") + " s"


def printable(lines: Iterable[str]) -> str:
    """One text of lines, with escapes for all that a terminal could take for an order: films come from strangers."""
    return "\n".join("".join(char if char.isprintable() else _escaped(char) for char in line) for line in lines)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
