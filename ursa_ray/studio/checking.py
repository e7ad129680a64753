"""A storyboard's text as it is typed: its plan beside what a run has of it, or its mistakes with their lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Self

from ursa_ray.errors import UrsaRayError
from ursa_ray.ledger import Run
from ursa_ray.plan import Difference, Plan, choose_takes, difference, take_again, with_takes
from ursa_ray.plan.cost import H200_FLOPS_PER_S
from ursa_ray.prepare import prepare
from ursa_ray.studio.boards import encoded
from ursa_ray.studio.view import Facts


@dataclass(frozen=True)
class Problem:
    """What is wrong with a storyboard; `line` counts from 1, None of a problem with no place in it."""

    line: int | None
    text: str


@dataclass(frozen=True)
class Again:
    """A part to take again: a shot or a segment, by its name, and which take of it, from 1; None is the next."""

    part: str
    take: int | None = None

    @property
    def option(self) -> str:
        """Of the command line."""
        return f"--retake={self._part}" if self.take is None else f"--take={self._choice}"

    def takes(self, plan: Plan, of: "Had") -> dict[str, int]:
        if self.take is None:
            return take_again(plan, of.takes, of.shown_takes, [self._part])
        return choose_takes(plan, of.takes, [self._choice])

    @property
    def _choice(self) -> str:
        return f"{self._part}={self.take}"

    @property
    def _part(self) -> str:
        return re.sub(r"\[(\d+)\]$", r":\1", self.part)


@dataclass(frozen=True)
class Had:
    """What a run has.

    Attributes:
        plan, film_plan: its last one, and that of the film before, as far as they are there.
        takes, shown_takes: of its last plan, and of its last film.
        seconds: that segments took, by key; of all that are committed.
    """

    plan: Plan | None = None
    film_plan: Plan | None = None
    takes: Mapping[str, int] = field(default_factory=dict)
    shown_takes: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Facts, run: Run | None) -> Self:
        if run is None:
            return cls()
        film_plan = None if facts.film_before is None else facts.film_before.plan
        seconds = {key: commit.seconds for key, commit in run.segments.items()}
        return cls(facts.plan, film_plan, dict(run.takes), dict(run.shown_takes), seconds)


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


def check(text: str, folder: Path, had: Had, again: Again | None = None) -> Checked:
    """Plan a text whose pictures and clips are in `folder`, with what shall be taken again. Nothing is kept."""
    with NamedTemporaryFile(dir=folder, prefix=".check-", suffix=".yaml") as file:
        path = Path(file.name)
        try:
            file.write(encoded(text))
            file.flush()
            prepared = prepare(path)
            takes = had.takes if again is None else again.takes(prepared.plan, had)
        except UrsaRayError as error:
            return Checked(tuple(problem(line, path) for line in str(error).splitlines()))
    warnings = tuple(problem(line, path) for line in prepared.warnings)
    plan = with_takes(prepared.plan, takes)
    found = difference(plan, had.plan, had.seconds.keys())
    pace = _flops_per_s(plan, had)
    return Checked((), warnings, plan, found, found.flops / (pace or H200_FLOPS_PER_S), pace is not None)


def problem(line: str, path: Path) -> Problem:
    """A line of an error, without the folder of its file, which is nobody's business in a browser."""
    match = re.match(rf"{re.escape(str(path))}(?::(\d+))?: ", line)
    number, words = (None, line) if match is None else (match[1], line[match.end() :])
    return Problem(None if number is None else int(number), words.replace(f"{path.parent}/", ""))


def _flops_per_s(plan: Plan, had: Had) -> float | None:
    """The pace of what the run has made of the same model in the same size, also of what the plan does without."""
    alike = [each for each in (plan, had.plan, had.film_plan) if each is not None and _kind(each) == _kind(plan)]
    made = {segment.key: segment.flops for each in alike for segment in each.segments}
    speeds = [flops / seconds for key, flops in made.items() if (seconds := had.seconds.get(key))]
    return median(speeds) if speeds else None


def _kind(plan: Plan) -> tuple[str, int, int]:
    return plan.weights_sha256, plan.width, plan.height
