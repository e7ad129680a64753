"""A plan as JSON without keys: they are computed again, so what was read is the plan of its hash, or is refused.

Values are in columns, in which what repeats itself compresses to almost nothing. Conditions name their parents by
number, and images and clips by their hashes: no path is in it, and no key, which would not compress.
"""

from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

from ursa_ray.plan.segments import (
    ClipCondition,
    Condition,
    ImageCondition,
    ParentCondition,
    Plan,
    PlannedShot,
    Segment,
)

COMMON = ("title", "model", "weights_sha256", "width", "height", "crf", "cut")
COLUMNS = tuple(field.name for field in fields(Segment) if field.name not in ("key", "condition"))


def plan_about(plan: Plan) -> dict[str, Any]:
    """What is common to all segments. A model that is a folder is only called by its name."""
    model = Path(plan.model).name if Path(plan.model).is_absolute() else plan.model
    common = {name: getattr(plan, name) for name in COMMON}
    return common | {"model": model, "fps": str(plan.fps), "plan_sha256": plan.sha256}


def plan_columns(plan: Plan) -> dict[str, list[Any]]:
    numbers: dict[str, int] = {}
    for number, segment in enumerate(plan.segments):
        numbers.setdefault(segment.key, number)
    columns = {name: [getattr(segment, name) for segment in plan.segments] for name in COLUMNS}
    return columns | {"condition": [_to_list(segment.condition, numbers) for segment in plan.segments]}


def plan_of(about: Mapping[str, Any], columns: Mapping[str, list[Any]]) -> Plan:
    """The plan of what `plan_about` and `plan_columns` gave.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is not that, or was changed.
    """
    segments: list[Segment] = []
    for *values, condition in zip(*(columns[name] for name in (*COLUMNS, "condition")), strict=True):
        row = dict(zip(COLUMNS, values, strict=True))
        row |= {"shown": tuple(row["shown"]), "film": tuple(row["film"]), "condition": _from_list(condition, segments)}
        segments.append(Segment(**row).with_key(about["weights_sha256"]))
    shots = tuple(_shot(name, tuple(group)) for name, group in groupby(segments, lambda segment: segment.shot))
    plan = Plan(shots=shots, fps=Fraction(about["fps"]), **{name: about[name] for name in COMMON})
    if plan.sha256 != about["plan_sha256"]:
        raise ValueError(f"its segments are those of plan {plan.sha256}")
    return plan


def _shot(name: str, segments: tuple[Segment, ...]) -> PlannedShot:
    return PlannedShot(name, segments[-1].film[1] - segments[0].film[0], segments)


def _to_list(condition: Condition | None, numbers: Mapping[str, int]) -> list[Any] | None:
    match condition:
        case None:
            return None
        case ParentCondition():
            return ["parent", numbers[condition.key], condition.start, condition.stop]
        case ImageCondition():
            return ["image", condition.sha256]
        case ClipCondition():
            return ["clip", condition.sha256, condition.num_frames, str(condition.fps)]


def _from_list(values: list[Any] | None, segments: list[Segment]) -> Condition | None:
    match values:
        case None:
            return None
        case ["parent", number, start, stop]:
            return ParentCondition(segments[number].key, start, stop)
        case ["image", sha256]:
            return ImageCondition(sha256, Path())
        case ["clip", sha256, num_frames, fps]:
            return ClipCondition(sha256, Path(), num_frames, Fraction(fps))
    raise ValueError(f"{values!r:.60} conditions no segment")
