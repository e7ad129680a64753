"""A plan as JSON without keys: they are computed again, so what was read is the plan of its hash, or is refused.

Values are in columns, in which what repeats itself compresses to almost nothing. Conditions name their parents by
number, and images and clips by their hashes: no path is in it, and no key, which would not compress. A hash proves
nothing of what a stranger wrote and hashed, so types, ranges and order are checked, too.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, create_model

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

Whole = Annotated[int, Field(ge=0, lt=2**63)]
Span = Annotated[list[Whole], Field(min_length=2, max_length=2)]
RATE = re.compile(r"[1-9][0-9]{0,19}(/[1-9][0-9]{0,19})?")  # no exponent, which could be of GB
Rate = Annotated[str, Field(pattern=f"^{RATE.pattern}$")]
ShotId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_KINDS = {int: Whole, tuple[int, int]: Span}


def _kind(name: str, hint: Any) -> Any:
    return ShotId if name == "shot" else _KINDS.get(hint, hint)


_SEGMENT, _PLAN = get_type_hints(Segment), get_type_hints(Plan)
_COLUMNS: dict[str, Any] = {name: (Annotated[list[_kind(name, _SEGMENT[name])], FailFast()], ...) for name in COLUMNS}
_COMMON: dict[str, Any] = {name: (_kind(name, _PLAN[name]), ...) for name in COMMON}
Columns = create_model("Columns", __config__=_STRICT, **_COLUMNS)
About = create_model("About", __config__=_STRICT, fps=(Rate, ...), plan_sha256=(str, ...), **_COMMON)


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
    require(About, about)
    require(Columns, columns)
    segments: list[Segment] = []
    for *values, condition in zip(*(columns[name] for name in (*COLUMNS, "condition")), strict=True):
        row = dict(zip(COLUMNS, values, strict=True))
        row |= {"shown": tuple(row["shown"]), "film": tuple(row["film"]), "condition": _from_list(condition, segments)}
        segments.append(Segment(**row).with_key(about["weights_sha256"]))
    _require_order(segments)
    shots = tuple(_shot(name, tuple(group)) for name, group in groupby(segments, lambda segment: segment.shot))
    plan = Plan(shots=shots, fps=Fraction(about["fps"]), **{name: about[name] for name in COMMON})
    if plan.sha256 != about["plan_sha256"]:
        raise ValueError(f"its segments are those of plan {plan.sha256}")
    return plan


def require(kind: type[BaseModel], content: object) -> None:
    """ValueError, in words of our own, if `content` has not the keys and types of `kind`."""
    try:
        kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))!r:.60}: {first['msg']}") from None


def _require_order(segments: list[Segment]) -> None:
    """Each shows frames that it has, and begins where the one before it ends."""
    end = 0
    for segment in segments:
        (first, last), (start, stop) = segment.shown, segment.film
        if not (first < last <= segment.num_frames and start == end and stop - start == last - first):
            raise ValueError(f"{segment.name} does not follow on the one before it")
        end = stop


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
        case ["parent", int(number), int(start), int(stop)] if 0 <= number < len(segments):
            return ParentCondition(segments[number].key, start, stop)
        case ["image", str(sha256)]:
            return ImageCondition(sha256, Path())
        case ["clip", str(sha256), int(num_frames), str(fps)] if RATE.fullmatch(fps):
            return ClipCondition(sha256, Path(), num_frames, Fraction(fps))
    raise ValueError(f"{values!r:.60} conditions no segment")
