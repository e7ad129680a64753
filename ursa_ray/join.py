"""From committed segments to the film, its stills and its contact sheet."""

from collections.abc import Iterator

import numpy as np

from ursa_ray import __version__
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Commit, Run
from ursa_ray.media import H264, read_mezzanine, write_contact_sheet, write_film, write_still
from ursa_ray.plan import Plan, PlannedShot

# Pictures on the contact sheet: they are in memory together.
MAX_ON_SHEET = 100


def joined_film(plan: Plan, run: Run) -> str | None:
    """The film's sha256 if it is there with its stills and is the one that was made of `plan`."""
    made = run.last_film
    wanted = [run.film, run.contact_sheet, *(run.stills / f"{shot.id}.png" for shot in plan.shots)]
    if made is None or made.key != plan.sha256 or not all(path.exists() for path in wanted):
        return None
    return made.media_sha256 if file_sha256(run.film) == made.media_sha256 else None


def join(plan: Plan, run: Run) -> str:
    """Make film, stills and contact sheet of committed segments whose frames are there; the film's sha256.

    Raises:
        MediaError: frames are damaged, or ffmpeg made something other than was planned; an older film stays.
    """
    report = write_film(
        run.film,
        _shown_frames(plan, run),
        num_frames=plan.num_frames,
        size=(plan.width, plan.height),
        fps=plan.fps,
        codec=H264.with_crf(plan.crf),
        metadata={"title": plan.title} if plan.title else {},
    )
    _write_stills(plan, run)
    run.commit(Commit("film", plan.sha256, media_sha256=report.sha256, version=__version__))
    return report.sha256


def _shown_frames(plan: Plan, run: Run) -> Iterator[np.ndarray]:
    for segment in plan.segments:
        yield from _frames(run, segment.key, *segment.shown)


def _write_stills(plan: Plan, run: Run) -> None:
    """The middle frame of every shot, and those of shots spread over the film on one sheet."""
    every = -(-len(plan.shots) // MAX_ON_SHEET)
    on_sheet = []
    for old in set(run.stills.glob("*.png")) - {run.stills / f"{shot.id}.png" for shot in plan.shots}:
        old.unlink()
    for number, shot in enumerate(plan.shots):
        frame = _middle_frame(run, shot)
        write_still(run.stills / f"{shot.id}.png", frame)
        if number % every == 0:
            on_sheet.append((shot.id, frame))
    write_contact_sheet(run.contact_sheet, on_sheet)


def _middle_frame(run: Run, shot: PlannedShot) -> np.ndarray:
    middle = shot.segments[0].film[0] + shot.num_frames // 2
    segment = next(segment for segment in shot.segments if segment.film[0] <= middle < segment.film[1])
    at = segment.shown[0] + middle - segment.film[0]
    (frame,) = _frames(run, segment.key, at, at + 1)
    return frame


def _frames(run: Run, key: str, start: int, stop: int) -> Iterator[np.ndarray]:
    path = run.mezzanine(key)
    assert path is not None, key
    return read_mezzanine(path, start, stop)
