"""What a report says of a run: plain values, which the template shows."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from shlex import quote
from typing import Any

from ursa_ray import __version__
from ursa_ray.checkpoint.hub import TINY_NAME
from ursa_ray.errors import LedgerError
from ursa_ray.explained import SETTINGS, condition_text
from ursa_ray.failed import now
from ursa_ray.html_report.timeline import Timeline, lay_out, spans_of
from ursa_ray.known import planned
from ursa_ray.ledger import Commit, Run
from ursa_ray.measured import Measured
from ursa_ray.plan import Plan, Segment
from ursa_ray.provenance import Provenance
from ursa_ray.summary import run_summary
from ursa_ray.wording import count_of


@dataclass(frozen=True)
class SegmentRow:
    """A segment as it is and as it was made; `measures` by name, None while there is no film."""

    segment: Segment
    starts: str
    num_shown: int
    conditioned_on: str | None
    commit: Commit | None
    num_failed: int
    measures: dict[str, Any] | None


@dataclass(frozen=True)
class Contents:
    """Attributes:
    facts: of the film; `hashes` and `commands` are what it takes to make it again.
    storyboard: its text; None if the run has not kept it.
    """

    title: str
    state: str
    is_finished: bool
    written: str
    facts: dict[str, str]
    hashes: dict[str, str]
    commands: list[str]
    storyboard: str | None
    settings: dict[str, str]
    segments: list[SegmentRow]
    failed: list[dict[str, Any]]
    timeline: Timeline | None
    measured: Measured | None


def contents_of(run: Run, plan: Plan, exact: Provenance | None, measured: Measured | None) -> Contents:
    """Read a run; `exact` is what its film says, None if there is none that says anything.

    Raises:
        LedgerError: its plan, report or storyboard is damaged.
    """
    summary, commits = run_summary(run), run.segments
    spans = spans_of(plan, commits, summary["failed"])
    return Contents(
        title=plan.title or "Untitled film",
        state=_state(summary),
        is_finished=summary["film"] is not None,
        written=now(),
        facts=_facts(run, plan, summary),
        hashes=_hashes(run, plan, exact),
        commands=_commands(run, plan),
        storyboard=_storyboard(run),
        settings=_settings(plan),
        segments=_rows(plan, commits, exact or planned(plan), measured),
        failed=summary["failed"],
        timeline=lay_out(spans),
        measured=measured,
    )


def _state(summary: dict[str, Any]) -> str:
    if summary["film"] is not None:
        return "finished"
    done = f"{summary['num_committed']} of {count_of(summary['num_segments'], 'segment')} are committed"
    failed = f", {len(summary['failed'])} failed" if summary["failed"] else ""
    return f"not finished: {done}{failed}; the film is not joined yet"


def _facts(run: Run, plan: Plan, summary: dict[str, Any]) -> dict[str, str]:
    devices = sorted({commit.device for commit in _made(run, plan) if commit.device})
    return {
        "length": f"{plan.seconds:.1f} s, {count_of(plan.num_frames, 'frame')} at {plan.fps} a second",
        "size": f"{plan.width} x {plan.height}",
        "shots": f"{len(plan.shots)}, of {count_of(plan.num_segments, 'segment')}",
        "model": plan.model,
        "made on": ", ".join(devices) or "nothing yet",
        "time of replicas": f"{summary['seconds_spent']:.1f} s",
        "run": run.url,
    }


def _hashes(run: Run, plan: Plan, exact: Provenance | None) -> dict[str, str]:
    film, made = run.last_film, _made(run, plan)
    is_shown = film is not None and film.key == plan.sha256
    by_version = sorted({commit.version for commit in made if commit.version})
    number_types = sorted({_numbers(commit) for commit in made if commit.dtype})
    found = {
        "weights": plan.weights_sha256,
        "plan": plan.sha256,
        "storyboard": run.storyboard_sha256,
        "film": film.media_sha256 if film is not None and is_shown else None,
        "ursa-ray of the segments": ", ".join(by_version),
        "numbers": "; ".join(number_types),
        **(exact.versions if exact is not None else {"ursa-ray": __version__}),
    }
    return {name: words for name, words in found.items() if words}


def _numbers(commit: Commit) -> str:
    threads = None if commit.num_threads is None else count_of(commit.num_threads, "thread")
    return ", ".join(filter(None, [commit.dtype, threads, commit.backends]))


def _made(run: Run, plan: Plan) -> list[Commit]:
    return [run.segments[key] for key in plan.by_key if key in run.segments]


def _commands(run: Run, plan: Plan) -> list[str]:
    made = _made(run, plan)
    version = next((commit.version for commit in made if commit.version), __version__)
    takes = "".join(f" --take {_part(each.name)}={each.take + 1}" for each in plan.segments if each.take)
    return [
        f"# with ursa-ray {version}",
        *_fetch(plan.model),
        f"ursa-ray render storyboard.yaml --run again{_device_options(made)}{takes}",
    ]


def _device_options(made: list[Commit]) -> str:
    """As the first segment was made that says so; "" if none does."""
    known = next((commit for commit in made if commit.device), None)
    if known is None:
        return ""
    dtype = f" --dtype {known.dtype.removeprefix('torch.')}" if known.dtype else ""
    is_cpu = known.device == "cpu"
    return f" --device cpu{dtype} --threads {known.num_threads or 1}" if is_cpu else f" --device cuda{dtype}"


def _fetch(model: str) -> list[str]:
    if model == TINY_NAME or model.startswith("/"):
        return []
    repo, _, revision = model.partition("@")
    return [f"hf download {quote(repo)}" + (f" --revision {quote(revision)}" if revision else "")]


def _part(name: str) -> str:
    shot, _, index = name.partition("[")
    return f"{shot}:{index.rstrip(']')}"


def _storyboard(run: Run) -> str | None:
    sha256 = run.storyboard_sha256
    if sha256 is None:
        return None
    where = run.where(f"assets/{sha256}")
    try:
        with run.store.reading(f"assets/{sha256}") as path:
            content = path.read_bytes()
    except OSError as error:
        raise LedgerError(f"{where}: cannot be read ({error.strerror}). Render its storyboard again.") from error
    require_hash(content, sha256, where, "Render its storyboard again: that writes it anew.")
    return content.decode()


def require_hash(content: bytes, sha256: str, where: str, fix: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise LedgerError(f"{where}: is damaged. {fix}")


def _settings(plan: Plan) -> dict[str, str]:
    """Of all segments; one that differs between them has every value that it takes."""
    values = {name: dict.fromkeys(str(getattr(segment, name)) for segment in plan.segments) for name in SETTINGS}
    values["negative_prompt"] = dict.fromkeys(segment.negative_prompt or "none" for segment in plan.segments)
    return {name: ", ".join(list(found)[:20]) for name, found in values.items()}


def _rows(
    plan: Plan, commits: dict[str, Commit], provenance: Provenance, measured: Measured | None
) -> list[SegmentRow]:
    starts = provenance.starts
    measures = {} if measured is None else {row["segment"]: row for row in measured.segments.to_pylist()}
    return [
        SegmentRow(
            segment,
            f"{float(Fraction(start) / plan.fps):.2f} s",
            stop - start,
            condition_text(segment.condition, plan),
            commit := commits.get(segment.key),
            0 if commit is None else len(commit.failed or ()),
            measures.get(segment.name),
        )
        for segment, start, stop in zip(plan.segments, starts, [*starts[1:], plan.num_frames], strict=True)
    ]
