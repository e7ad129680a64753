"""A render: what is missing of a plan is made and committed, and the film joined."""

import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ursa_ray.director import Director
from ursa_ray.errors import AssetError
from ursa_ray.executor import Executor
from ursa_ray.failed import remove_failures
from ursa_ray.files import file_sha256, published
from ursa_ray.join import join, joined_film
from ursa_ray.ledger import FILM, Run, refused
from ursa_ray.listener import Listener
from ursa_ray.plan import ClipCondition, ImageCondition, Plan


@dataclass(frozen=True)
class Rendered:
    """The finished film and how it came about."""

    film: str
    sha256: str
    num_frames: int
    generated_segments: int
    reused_segments: int


def render(
    plan: Plan, run: Run, executor: Executor, listener: Listener | None = None, storyboard: str | None = None
) -> Rendered:
    """Make what is missing of `plan` in `run` and join the film; nothing that is committed is generated again.

    The plan is of certain takes (`plan.with_takes`), which the run takes over: one without those of the run goes back
    to the first. The text of its storyboard is kept in the run, if it is given, for whoever wants to make the film
    again.

    Raises:
        StoreError: the run cannot be written; everything committed is kept.
        RenderError: some shots failed; everything else is committed.
        LedgerError: another render works on this run.
        MediaError: the film could not be made.
    """
    listener = listener or Listener()
    with run.locked():
        num_missing = begin(plan, run, listener, storyboard)
        sha256 = joined_film(plan, run)
        if sha256 is None:
            make_segments(plan, run, executor, listener)
            listener.join(plan)
            sha256 = _join(plan, run)
        remove_failures(run)
    return Rendered(run.where(FILM), sha256, plan.num_frames, num_missing, plan.num_segments - num_missing)


def begin(plan: Plan, run: Run, listener: Listener, storyboard: str | None = None) -> int:
    """Note in a locked run what is made in it from now on; how many segments of it are missing."""
    try:
        _keep_assets(plan, run)
        storyboard_sha256 = None if storyboard is None else _keep_storyboard(storyboard, run)
    except OSError as error:
        raise refused(run.store, "assets", error) from error
    run.begin(plan, storyboard_sha256)
    _forget_steps(run)
    num_missing = sum(segment.key not in run.segments for segment in plan.segments)
    listener.begin(plan, plan.num_segments - num_missing)
    return num_missing


def make_segments(
    plan: Plan, run: Run, executor: Executor, listener: Listener, spared: Collection[str] = frozenset()
) -> None:
    """Make what is missing in a locked run, and the frames of what is committed, but of the keys that are `spared`."""
    if {segment.key for segment in plan.segments} - run.framed() - set(spared):
        with executor:
            Director(plan, run, executor, listener, spared=spared).make_segments()


def _join(plan: Plan, run: Run) -> str:
    try:
        return join(plan, run)
    except OSError as error:
        raise refused(run.store, FILM, error) from error


def _keep_assets(plan: Plan, run: Run) -> None:
    """Copy images and clips into the run, where replicas on all machines find them unchanged."""
    for segment in plan.segments:
        if isinstance(segment.condition, ImageCondition | ClipCondition):
            sha256, path = segment.condition.sha256, segment.condition.path
            if not _is_kept(run, sha256):
                with (
                    _opened(path) as content,
                    run.store.writing("assets") as folder,
                    published(folder / sha256) as aside,
                ):
                    with aside.open("wb") as copy:
                        shutil.copyfileobj(content, copy)
                    if file_sha256(aside) != sha256:
                        raise AssetError(f"{path}: has changed since it was planned with. Render again.")


def _opened(asset: Path) -> BinaryIO:
    try:
        return asset.open("rb")
    except OSError as error:
        raise AssetError(
            f"{asset}: cannot be read any more ({error.strerror}). Bring it back, and render again."
        ) from error


def _keep_storyboard(text: str, run: Run) -> str:
    content = text.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    if not _is_kept(run, sha256):
        run.store.put(f"assets/{sha256}", content)
    return sha256


def _is_kept(run: Run, sha256: str) -> bool:
    """Whether an asset is in the run, unchanged: a damaged one would condition segments, and nothing would tell."""
    if not run.store.exists(f"assets/{sha256}"):
        return False
    with run.store.reading(f"assets/{sha256}") as path:
        return file_sha256(path) == sha256


def _forget_steps(run: Run) -> None:
    """Of segments whose render was killed right after their commit."""
    begun = {*run.store.names("steps"), *(name.removesuffix(".webp") for name in run.store.names("previews"))}
    for key in begun & run.segments.keys():
        run.steps.clear(key)
