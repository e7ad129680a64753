"""The pictures and clips that a storyboard names: what its run has kept of them, and what was uploaded instead."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ursa_ray.errors import AssetError, StoryboardError
from ursa_ray.ledger import Run
from ursa_ray.media import asset_sha256
from ursa_ray.plan import ClipCondition, ImageCondition, Plan
from ursa_ray.storyboard import load_storyboard
from ursa_ray.studio.boards import CLIPS, PICTURES, copy_once
from ursa_ray.studio.checking import Problem

LACKING = re.compile(r"(image|video) is .*, but there is no file (.+)$")
SHA256 = re.compile("[0-9a-f]{64}")
MAX_LISTED = 8  # uploads in a message


def bring(run: Run, plan: Plan, storyboard: Path) -> None:
    """Copy what a run has kept of the pictures and clips of its storyboard to where that names them, if they lack.

    The run may be a stranger's: only what is a picture or clip, has the hash that the plan says, and is named as one
    in the storyboard's folder is taken.
    """
    try:
        board = load_storyboard(storyboard, with_assets=False)
    except StoryboardError:
        return  # it is shown with its mistakes
    conditions = {shot.id: shot.segments[0].condition for shot in plan.shots}
    for shot in board.shots:
        path, condition = board.asset_path(shot), conditions.get(shot.id)
        if path is not None and isinstance(condition, ImageCondition | ClipCondition):
            with suppress(AssetError, OSError, RuntimeError):  # it lacks then, which is told with its line
                _bring(run, condition, path.resolve(), storyboard.parent.resolve())


def _bring(run: Run, condition: ImageCondition | ClipCondition, path: Path, folder: Path) -> None:
    is_asset = path.suffix.lower() in PICTURES | CLIPS and path.is_relative_to(folder)
    if not is_asset or path.exists() or SHA256.fullmatch(condition.sha256) is None:
        return
    kind = "image" if isinstance(condition, ImageCondition) else "clip"
    with run.store.reading(f"assets/{condition.sha256}") as kept:
        if asset_sha256(kept, kind) == condition.sha256:
            copy_once(kept, path)


def with_uploads(found: Problem, uploads: Sequence[str]) -> Problem:
    """Of a file that lacks, beside those that were uploaded, and how to name the one that is meant."""
    lacking = LACKING.search(found.text)
    if lacking is None or not uploads:
        return found
    key, name = lacking[1], Path(lacking[2]).name.lower()
    meant = next((each for each in uploads if Path(each).name.lower() == name), None)
    fix = f"; write {key}: {meant}" if meant is not None else f". Name one of them, or upload {name}"
    listed = ", ".join(uploads[:MAX_LISTED]) + (", ..." if len(uploads) > MAX_LISTED else "")
    return replace(found, text=f"{found.text}. Uploaded: {listed}{fix}.")
