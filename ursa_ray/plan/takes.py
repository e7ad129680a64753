"""Takes: parts of a film made again with other seeds, though nothing else of them was changed.

A run remembers which take of each segment it shows. With these numbers a plan becomes the plan of the takes: a segment
that was taken again has another seed, and so another key; what is conditioned on it follows through its parent's key.
All else keeps its key, and with no takes a plan is what it was.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ursa_ray.errors import OptionError
from ursa_ray.plan.segments import Condition, ParentCondition, Plan, PlannedShot, Segment

# The take of each segment, by its name (`forest[2]`), as people count them less 1; 0 for those that are left out.
Takes = Mapping[str, int]

MAX_LISTED = 8  # shots in a message

CHOICE = re.compile("(.+)=([1-9][0-9]{0,3})")


def with_takes(plan: Plan, takes: Takes) -> Plan:
    """The plan of these takes, from the one of the first takes."""
    keys: dict[str, str] = {}
    shots = []
    for shot in plan.shots:
        segments = []
        for first in shot.segments:
            segments.append(_taken(first, takes.get(first.name, 0), keys, plan.weights_sha256))
            keys[first.key] = segments[-1].key
        shots.append(PlannedShot(shot.id, shot.num_frames, tuple(segments)))
    return replace(plan, shots=tuple(shots))


def take_again(plan: Plan, takes: Takes, shown: Takes, parts: Iterable[str]) -> dict[str, int]:
    """One more take of each part, `SHOT` for all of its segments or `SHOT:SEGMENT` for one of them, counted from 0.

    A segment whose take is not that of `shown`, those of the last finished film, keeps it: nobody can have judged it,
    so it was asked for by the same command, which is given again after an interruption.

    Raises:
        OptionError: there is no such part; says which there are.
    """
    names = {segment.name for part in parts for segment in _segments(plan, part, f"--retake {part}")}
    again = {name for name in names if takes.get(name, 0) == shown.get(name, 0)}
    return dict(takes) | {name: takes.get(name, 0) + 1 for name in again}


def choose_takes(plan: Plan, takes: Takes, choices: Iterable[str]) -> dict[str, int]:
    """Of each part the take that is asked for, `SHOT=TAKE` or `SHOT:SEGMENT=TAKE`; the first is take 1.

    Raises:
        OptionError: a choice is none, or there is no such part; says what is expected.
    """
    chosen = dict(takes)
    for choice in choices:
        match = CHOICE.fullmatch(choice)
        if match is None:
            raise OptionError(
                f"--take {choice}: expected SHOT=TAKE or SHOT:SEGMENT=TAKE with a number up to 9,999, such as "
                f"{plan.shots[0].id}:0=1 for the first take of a segment."
            )
        chosen |= {segment.name: int(match[2]) - 1 for segment in _segments(plan, match[1], f"--take {choice}")}
    return chosen


def _taken(first: Segment, take: int, keys: Mapping[str, str], weights_sha256: str) -> Segment:
    assert first.take == 0, first
    seed = _seed(first.seed, take) if take else first.seed
    again = replace(first, take=take, seed=seed, condition=_following(first.condition, keys))
    return again.with_key(weights_sha256)


def _following(condition: Condition | None, keys: Mapping[str, str]) -> Condition | None:
    if isinstance(condition, ParentCondition):
        return replace(condition, key=keys[condition.key])
    return condition


def _seed(first: int, take: int) -> int:
    digest = hashlib.sha256(f"{first}/{take}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _segments(plan: Plan, part: str, asked: str) -> tuple[Segment, ...]:
    name, colon, index = part.partition(":")
    shot = next((shot for shot in plan.shots if shot.id == name), None)
    if shot is None:
        ids = [shot.id for shot in plan.shots]
        listed = ", ".join(ids[:MAX_LISTED]) + (", ..." if len(ids) > MAX_LISTED else "")
        raise OptionError(f'{asked}: there is no shot "{name}". Shots: {listed}.')
    if not colon:
        return shot.segments
    found = [segment for segment in shot.segments if str(segment.index) == index]
    if not found:
        last = len(shot.segments) - 1
        which = f"Its segments are {name}:0 to {name}:{last}" if last else f"Its only segment is {name}:0"
        raise OptionError(f'{asked}: shot "{name}" has no segment "{index}". {which}.')
    return tuple(found)
