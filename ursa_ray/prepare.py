"""From a storyboard's path to a checked plan: everything that can be found wrong before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ursa_ray.checkpoint import Checkpoint, open_checkpoint
from ursa_ray.errors import AssetError, CheckpointError, StoryboardError
from ursa_ray.media import asset_sha256, read_clip_tail
from ursa_ray.plan import ClipCondition, Plan, lint, plan_storyboard
from ursa_ray.storyboard import Storyboard, load_storyboard


@dataclass(frozen=True)
class Prepared:
    storyboard: Storyboard
    checkpoint: Checkpoint
    plan: Plan
    warnings: list[str]


def prepare(path: Path, fetch: bool = False) -> Prepared:
    """Load, check and plan a storyboard; with `fetch` its model is downloaded if need be.

    Raises:
        StoryboardError, AssetError, CheckpointError: with the line of the file that asks for it.
    """
    storyboard = load_storyboard(path)
    try:
        checkpoint = open_checkpoint(storyboard.model, base=storyboard.folder, fetch=fetch)
        prepared = prepare_with(storyboard, checkpoint, _assets(storyboard))
    except CheckpointError as error:
        raise CheckpointError(f"{storyboard.where('model')}: {error}") from error
    if checkpoint.folder is None:
        words = f"{storyboard.where('model')}: {checkpoint.name} is not on this machine: rendering fetches it first."
        return replace(prepared, warnings=[words, *prepared.warnings])
    return prepared


def prepare_with(
    storyboard: Storyboard, checkpoint: Checkpoint, assets: Mapping[str, str], cuts_prompts: bool = False
) -> Prepared:
    """Check and plan a storyboard; `assets` and `cuts_prompts` as of `plan_storyboard`.

    Raises:
        StoryboardError, CheckpointError: as of `prepare`.
    """
    plan = plan_storyboard(storyboard, checkpoint, assets, cuts_prompts)
    _check_clips(storyboard, plan)
    return Prepared(storyboard, checkpoint, plan, lint(storyboard, checkpoint, plan))


def _assets(storyboard: Storyboard) -> dict[str, str]:
    """Hash of the image or clip of every shot that has one; opened once, to see that it is one."""
    hashes, problems = {}, []
    for number, shot in enumerate(storyboard.shots):
        path = storyboard.asset_path(shot)
        if path is None:
            continue
        kind = "image" if shot.image is not None else "clip"
        try:
            hashes[shot.id] = asset_sha256(path, kind)
        except AssetError as error:
            where = storyboard.where_in(number, "image" if kind == "image" else "video")
            problems.append(f"{where}: {error}")
    if problems:
        raise StoryboardError("\n".join(problems))
    return hashes


def _check_clips(storyboard: Storyboard, plan: Plan) -> None:
    """A clip must be long enough to condition a segment, which only its frames tell."""
    for number, shot in enumerate(plan.shots):
        condition = shot.segments[0].condition
        if isinstance(condition, ClipCondition):
            try:
                read_clip_tail(condition.path, plan.width, plan.height, condition.fps, condition.num_frames)
            except AssetError as error:
                raise StoryboardError(f"{storyboard.where_in(number, 'video')}: {error}") from error
