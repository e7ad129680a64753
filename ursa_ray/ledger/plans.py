"""Plans as Parquet: a row for every segment, with what is common to all of them."""

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from ursa_ray.errors import LedgerError
from ursa_ray.ledger.sealed import seal, unseal
from ursa_ray.ledger.store import Store
from ursa_ray.plan import (
    ClipCondition,
    Condition,
    ImageCondition,
    ParentCondition,
    Plan,
    PlannedShot,
    Segment,
)

COMMON: dict[str, Callable[[Any], Any]] = {
    "title": str,
    "model": str,
    "weights_sha256": str,
    "width": int,
    "height": int,
    "fps": Fraction,
    "crf": int,
    "cut": str,
}
FIX = "Render its storyboard again: that writes it anew."
CONDITIONS = {kind.__name__: kind for kind in (ParentCondition, ImageCondition, ClipCondition)}

_RANGE = pa.list_(pa.int64(), 2)
_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    float: pa.float64(),
    float | None: pa.float64(),
    tuple[int, int]: _RANGE,
}

# Conditions are of several kinds; each is one JSON text.
SCHEMA = pa.schema([(field.name, _ARROW.get(field.type, pa.string())) for field in fields(Segment)])


def plan_name(sha256: str) -> str:
    return f"plan-{sha256}.parquet"


def read_plan(store: Store, sha256: str) -> Plan:
    """The plan of this hash.

    Raises:
        LedgerError: its file is missing, damaged, or holds another plan.
    """
    where = f"{store.url}/{plan_name(sha256)}"
    try:
        plan = plan_from_parquet(store.read(plan_name(sha256)), where)
    except FileNotFoundError as error:
        raise LedgerError(f"{where}: is missing. {FIX}") from error
    except OSError as error:
        raise LedgerError(f"{where}: cannot be read ({error.strerror}). {FIX}") from error
    if plan.sha256 != sha256:
        raise LedgerError(f"{where}: is damaged (it holds another plan, {plan.sha256}). {FIX}")
    return plan


def plan_to_parquet(plan: Plan) -> bytes:
    common = {name: str(getattr(plan, name)) for name in COMMON}
    rows = [asdict(segment) | {"condition": _condition_to_json(segment.condition)} for segment in plan.segments]
    return seal(rows, SCHEMA, common)


def plan_from_parquet(content: bytes, where: str) -> Plan:
    rows, common = unseal(content, where, FIX)
    try:
        segments = [_segment(row) for row in rows]
        shots = tuple(_shot(name, tuple(group)) for name, group in groupby(segments, lambda segment: segment.shot))
        return Plan(shots=shots, **{name: convert(common[name]) for name, convert in COMMON.items() if name in common})
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{where}: is not a plan of this version ({error!r}). {FIX}") from error


def _shot(name: str, segments: tuple[Segment, ...]) -> PlannedShot:
    return PlannedShot(name, segments[-1].film[1] - segments[0].film[0], segments)


def _segment(row: dict[str, Any]) -> Segment:
    """From a row of any version: a column that it lacks has its default, one that is unknown is passed over."""
    row["shown"], row["film"] = tuple(row["shown"]), tuple(row["film"])
    row["condition"] = _condition_from_json(row["condition"])
    known = {field.name for field in fields(Segment) if field.name in row or field.default is MISSING}
    return Segment(**{name: row[name] for name in known})


def _condition_to_json(condition: Condition | None) -> str | None:
    if condition is None:
        return None
    return json.dumps({"kind": type(condition).__name__} | asdict(condition), default=str)


def _condition_from_json(text: str | None) -> Condition | None:
    if text is None:
        return None
    raw = json.loads(text)
    kind = CONDITIONS[raw.pop("kind")]
    if "path" in raw:
        raw["path"] = Path(raw["path"])
    if "fps" in raw:
        raw["fps"] = Fraction(raw["fps"])
    return kind(**raw)
