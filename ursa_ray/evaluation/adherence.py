"""Are prompts followed? Clips are generated for prompts that were held out of training, and looked at.

One row a clip: what was asked for and what the detector found. `adherence_rates` makes the figures of it.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ursa_ray.evaluation.detector import detect
from ursa_ray.evaluation.figures import Rate
from ursa_ray.evaluation.films import Take, sample_takes
from ursa_ray.training import world

if TYPE_CHECKING:
    from ursa_ray.model import Ursa

SEEN = 0.9  # of a clip's frames must show the object; of 120 drawn held-out clips none hides it for more than 1 frame

_NAMED = ("background", "colour", "shape", "direction")
_ATTRIBUTES = (*_NAMED, "speed")

SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        *((f"{side}_{name}", pa.string()) for side in ("wanted", "found") for name in _NAMED),
        ("wanted_speed", pa.float64()),
        ("found_speed", pa.float64()),
        ("presence", pa.float64()),
        ("strays", pa.float64()),
    ]
)


def measure_adherence(ursa: "Ursa", num_prompts: int = 200, seed: int = 0, **options: Any) -> pa.Table:
    """One row for each of `num_prompts` held-out prompts; `options` are those of `Ursa.generate`."""
    takes = sample_takes(num_prompts, seed)
    return table_of(judge(take, make_clip(ursa, take, **options)) for take in takes)


def make_clip(ursa: "Ursa", take: Take, **options: Any) -> np.ndarray:
    return ursa.decode(ursa.generate(take.prompt, seed=take.seed, **options))


def judge(take: Take, frames: np.ndarray) -> dict[str, Any]:
    """A row: what is asked for, what `frames` show, the share of frames with an object, the strays in a frame."""
    found = detect(frames)
    return {
        "prompt": take.prompt,
        "seed": take.seed,
        **{f"wanted_{name}": getattr(take.scene, name) for name in _ATTRIBUTES},
        **{f"found_{name}": getattr(found, name) for name in _ATTRIBUTES},
        "presence": float(found.track.present.mean()),
        "strays": float(found.track.num_strays.mean()),
    }


def table_of(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def adherence_rates(table: pa.Table) -> list[Rate]:
    """How often each attribute is right; a clip without an object is wrong in all but its background."""
    rows = table.to_pylist()
    tests: dict[str, Callable[[dict[str, Any]], bool]] = {
        name: lambda row, name=name: row[f"found_{name}"] == row[f"wanted_{name}"] for name in _NAMED
    }
    tests["speed class"] = lambda row: _motion_class(row["found_speed"]) == _motion_class(row["wanted_speed"])
    tests["object seen"] = lambda row: row["presence"] >= SEEN
    tests["no strays"] = lambda row: row["strays"] == 0
    counted = [Rate(name, sum(map(test, rows)), len(rows)) for name, test in tests.items()]
    return [*counted, *_speed_order(rows)]


def _motion_class(speed: float | None) -> float | None:
    return None if speed is None else min(world.MOTIONS, key=lambda motion: abs(world.speed_of(motion) - speed))


def _speed_order(rows: list[dict[str, Any]]) -> list[Rate]:
    """Of pairs of a slow and a fast prompt, every clip in one pair at most: how often is the fast one faster?"""
    ordered = sorted(rows, key=lambda row: row["wanted_speed"])
    pairs = zip(ordered[: len(rows) // 2], reversed(ordered), strict=False)
    pairs = [(slow, fast) for slow, fast in pairs if slow["wanted_speed"] < fast["wanted_speed"]]
    right = sum((slow["found_speed"] or np.inf) < (fast["found_speed"] or 0) for slow, fast in pairs)
    return [Rate("speed order", right, len(pairs))] if pairs else []
