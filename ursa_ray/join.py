"""From committed segments to the film, its stills and its contact sheet."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ursa_ray import __version__
from ursa_ray.files import file_sha256
from ursa_ray.ledger import CONTACT_SHEET, FILM, Commit, Run
from ursa_ray.media import (
    H264,
    FilmReport,
    Read,
    cut_film,
    read_mezzanine,
    write_contact_sheet,
    write_film,
    write_still,
)
from ursa_ray.plan import Plan, PlannedShot, Segment
from ursa_ray.provenance import Encoded, Provenance, noting, versions

# Pictures on the contact sheet: they are in memory together.
MAX_ON_SHEET = 100

STILLS = "stills"


def joined_film(plan: Plan, run: Run) -> str | None:
    """The film's sha256 if all that was made with it is there, unchanged, and was made of `plan`."""
    made = run.last_film
    if made is None or made.key != plan.sha256 or made.files is None:
        return None
    for name, sha256 in made.files.items():
        if not run.store.exists(name):
            return None
        with run.store.reading(name) as path:
            if file_sha256(path) != sha256:
                return None
    return made.files[FILM]


def join(plan: Plan, run: Run) -> str:
    """Make film, stills and contact sheet of committed segments whose frames are there; the film's sha256.

    Raises:
        MediaError: frames are damaged, or ffmpeg made something other than was planned; an older film stays.
    """
    with run.store.writing("") as folder:
        film = write_planned_film(folder / FILM, plan, partial(segment_frames, run))
        files = {FILM: film.sha256}
        with run.store.writing(STILLS) as stills:
            files |= _write_stills(plan, run, stills, folder / CONTACT_SHEET)
    for old in {f"{STILLS}/{name}" for name in run.store.names(STILLS)} - files.keys():
        run.store.remove(old)
    made = Commit("film", plan.sha256, media_sha256=film.sha256, version=__version__, files=files, takes=run.takes)
    run.commit(made)
    return film.sha256


def write_planned_film(path: Path, plan: Plan, read: Read, seed: int | None = None) -> FilmReport:
    """Publish the film of a plan, which says what it is made of; `read` gives frames of a segment.

    `seed` is that of a single result, as it was asked for.

    Raises:
        MediaError: frames are damaged, or ffmpeg made something else.
    """
    starts: list[int] = []
    encoded = Encoded(H264.name, plan.width, plan.height, plan.fps, plan.num_frames)
    return write_film(
        path,
        noting(cut_film(plan, read), starts),
        num_frames=plan.num_frames,
        size=(plan.width, plan.height),
        fps=plan.fps,
        codec=H264.with_crf(plan.crf),
        metadata={"title": plan.title} if plan.title else {},
        comment=lambda: Provenance(plan, tuple(starts), encoded, versions(), seed).to_comment(),
    )


def segment_frames(run: Run, segment: Segment, start: int, stop: int) -> Iterator[np.ndarray]:
    with run.mezzanine(segment.key) as path:
        yield from read_mezzanine(path, start, stop)


def _write_stills(plan: Plan, run: Run, stills: Path, sheet: Path) -> dict[str, str]:
    """The middle frame of every shot, and those of shots spread over the film on one sheet; names and hashes."""
    every = -(-len(plan.shots) // MAX_ON_SHEET)
    on_sheet, files = [], {}
    for number, shot in enumerate(plan.shots):
        frame = _middle_frame(run, shot)
        still = stills / f"{shot.id}.png"
        write_still(still, frame)
        files[f"{STILLS}/{still.name}"] = file_sha256(still)
        if number % every == 0:
            on_sheet.append((shot.id, frame))
    write_contact_sheet(sheet, on_sheet)
    return files | {CONTACT_SHEET: file_sha256(sheet)}


def _middle_frame(run: Run, shot: PlannedShot) -> np.ndarray:
    middle = shot.segments[0].film[0] + shot.num_frames // 2
    segment = next(segment for segment in shot.segments if segment.film[0] <= middle < segment.film[1])
    at = segment.shown[0] + middle - segment.film[0]
    (frame,) = segment_frames(run, segment, at, at + 1)
    return frame
