"""A storyboard's text as it is typed: its plan beside what a run has of it, or its mistakes with their lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile

from ursa_ray.errors import UrsaRayError
from ursa_ray.ledger import Commit
from ursa_ray.plan import Difference, Plan, difference, with_takes
from ursa_ray.plan.cost import H200_FLOPS_PER_S
from ursa_ray.prepare import prepare
from ursa_ray.studio.boards import encoded


@dataclass(frozen=True)
class Problem:
    """What is wrong with a storyboard; `line` counts from 1, None of a problem with no place in it."""

    line: int | None
    text: str


@dataclass(frozen=True)
class Checked:
    """A text as the plan of a film, and what of it is new to a run; or why it is none.

    Attributes:
        seconds_new: of the work that is new.
        is_measured: whether the pace is that of the run; else it is predicted for an H200.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    plan: Plan | None = None
    difference: Difference | None = None
    seconds_new: float = 0.0
    is_measured: bool = False


def check(
    text: str, folder: Path, before: Plan | None, takes: Mapping[str, int], segments: Mapping[str, Commit]
) -> Checked:
    """Plan a text whose pictures and clips are in `folder`; its run has the other three. Nothing is kept."""
    with NamedTemporaryFile(dir=folder, prefix=".check-", suffix=".yaml") as file:
        path = Path(file.name)
        try:
            file.write(encoded(text))
            file.flush()
            prepared = prepare(path)
        except UrsaRayError as error:
            return Checked(tuple(problem(line, path) for line in str(error).splitlines()))
    warnings = tuple(problem(line, path) for line in prepared.warnings)
    plan = with_takes(prepared.plan, takes)
    seconds = {key: commit.seconds for key, commit in segments.items() if commit.seconds}
    return _checked(warnings, plan, difference(plan, before, segments.keys()), seconds)


def problem(line: str, path: Path) -> Problem:
    """A line of an error, without the folder of its file, which is nobody's business in a browser."""
    match = re.match(rf"{re.escape(str(path))}(?::(\d+))?: ", line)
    number, words = (None, line) if match is None else (match[1], line[match.end() :])
    return Problem(None if number is None else int(number), words.replace(f"{path.parent}/", ""))


def _checked(warnings: tuple[Problem, ...], plan: Plan, found: Difference, seconds: Mapping[str, float]) -> Checked:
    speeds = [segment.flops / seconds[segment.key] for segment in plan.segments if segment.key in seconds]
    flops_per_s = median(speeds) if speeds else H200_FLOPS_PER_S
    return Checked((), warnings, plan, found, found.flops / flops_per_s, bool(speeds))
