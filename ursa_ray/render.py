"""The director: feeds ready segments to replicas, commits what returns, joins the film.

It decides with `schedule`, keeps what is done in the run, and leaves the work to an executor: the one here runs
segments one after another in this process, the one in `cluster` on the replicas of a Ray cluster.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from ursa_ray import __version__
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checks import wrong_output
from ursa_ray.errors import AssetError, RenderError, ReplicaError, UrsaRayError
from ursa_ray.files import file_sha256, published
from ursa_ray.join import join, joined_film
from ursa_ray.ledger import Commit, Run
from ursa_ray.model import choose_device
from ursa_ray.plan import ClipCondition, ImageCondition, Plan, Segment
from ursa_ray.schedule import Job, Retry, Schedule
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions


@dataclass(frozen=True)
class Failed:
    key: str
    error: Exception


Event = Step | Done | Failed


class Executor(Protocol):
    """Replicas that make segments; a context that starts them and lets them go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    @property
    def num_idle(self) -> int: ...

    def submit(self, request: Request) -> None: ...

    def next_event(self) -> Event | None:
        """Wait for something to happen to what was submitted; None if it is only that a replica became idle."""
        ...


class Listener:
    """What a render tells as it goes on; this one is deaf."""

    def begin(self, plan: Plan, num_reused: int) -> None: ...

    def start(self, segment: Segment) -> None: ...

    def step(self, segment: Segment, done: int, total: int) -> None: ...

    def finish(self, segment: Segment, seconds: float) -> None: ...

    def fail(self, segment: Segment, error: Exception, again: bool) -> None: ...

    def join(self, plan: Plan) -> None: ...


@dataclass(frozen=True)
class Rendered:
    """The finished film and how it came about."""

    film: Path
    sha256: str
    num_frames: int
    generated_segments: int
    reused_segments: int


class InProcessExecutor:
    """One replica in this process, loaded when the first segment is submitted."""

    def __init__(self, options: WorkerOptions):
        choose_device(options.device)
        self._options = options
        self._worker: Worker | None = None
        self._running: tuple[str, Iterator[Step | Done]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._running = self._worker = None

    @property
    def num_idle(self) -> int:
        return 1 if self._running is None else 0

    def submit(self, request: Request) -> None:
        self._running = (request.segment.key, self._run(request))

    def next_event(self) -> Event:
        assert self._running is not None
        key, progress = self._running
        try:
            event = next(progress)
        except (UrsaRayError, RuntimeError, OSError) as error:  # torch reports a full GPU as a RuntimeError
            event = Failed(key, error)
            if not isinstance(error, UrsaRayError):
                self._worker = None  # whatever it met may have left the device broken
        if not isinstance(event, Step):
            self._running = None
        return event

    def _run(self, request: Request) -> Iterator[Step | Done]:
        if self._worker is None:
            self._worker = Worker(self._options)
        yield from self._worker.run(request)


def render(plan: Plan, run: Run, executor: Executor, listener: Listener | None = None) -> Rendered:
    """Make what is missing of `plan` in `run` and join the film; nothing that is committed is generated again.

    Raises:
        RenderError: some shots failed; everything else is committed.
        LedgerError: another render works on this run.
        MediaError: the film could not be made.
    """
    listener = listener or Listener()
    with run.locked():
        _keep_assets(plan, run)
        run.begin(plan)
        num_missing = sum(segment.key not in run.segments for segment in plan.segments)
        num_reused = plan.num_segments - num_missing
        listener.begin(plan, num_reused)
        sha256 = joined_film(plan, run)
        if sha256 is None:
            if any(run.mezzanine(segment.key) is None for segment in plan.segments):
                with executor:
                    _make_segments(plan, run, executor, listener)
            listener.join(plan)
            sha256 = join(plan, run)
    return Rendered(run.film, sha256, plan.num_frames, num_missing, num_reused)


def _keep_assets(plan: Plan, run: Run) -> None:
    """Copy images and clips into the run, where replicas on all machines find them unchanged."""
    for segment in plan.segments:
        if isinstance(segment.condition, ImageCondition | ClipCondition):
            copy = run.assets / segment.condition.sha256
            if not copy.exists():
                with published(copy) as aside:
                    shutil.copyfile(segment.condition.path, aside)
                    if file_sha256(aside) != segment.condition.sha256:
                        raise AssetError(
                            f"{segment.condition.path}: has changed since it was planned with. Render again."
                        )


def _make_segments(plan: Plan, run: Run, executor: Executor, listener: Listener) -> None:
    schedule, checkpoint = Schedule(_jobs(plan, run)), open_checkpoint(plan.model)
    while not schedule.is_over:
        while executor.num_idle and (key := schedule.next()) is not None:
            listener.start(plan.by_key[key])
            executor.submit(_request(plan, run, plan.by_key[key]))
        event = executor.next_event()
        if event is None:
            continue
        segment = plan.by_key[event.key]
        if isinstance(event, Done) and (wrong := wrong_output(segment, checkpoint, event.codes, event.frames_sha256)):
            event = Failed(segment.key, ReplicaError(wrong))
        match event:
            case Step(_, done, total):
                listener.step(segment, done, total)
            case Done():
                _commit(run, segment, event)
                schedule.finish(segment.key)
                listener.finish(segment, event.seconds)
            case Failed(_, error):
                action = schedule.fail(segment.key, error)
                listener.fail(segment, error, isinstance(action, Retry))
    if schedule.failures:
        raise _report(plan, run, schedule.failures)


def _jobs(plan: Plan, run: Run) -> list[Job]:
    """Segments to generate, and committed ones whose frames are gone and must be decoded again."""
    jobs = []
    for segment in plan.segments:
        if segment.key not in run.segments:
            parent = None if segment.parent in run.segments else segment.parent
            jobs.append(Job(segment.key, after=parent, remaining=plan.chain[segment.key][1]))
        elif run.mezzanine(segment.key) is None:
            jobs.append(Job(segment.key, after=None, remaining=0.0))
    return jobs


def _request(plan: Plan, run: Run, segment: Segment) -> Request:
    if segment.key in run.segments:
        return Request(segment, plan.fps, codes=run.segments[segment.key].array())
    parent = segment.parent
    return Request(segment, plan.fps, parent_codes=None if parent is None else run.segments[parent].array())


def _commit(run: Run, segment: Segment, done: Done) -> None:
    """Put a finished segment into the ledger; one that was only decoded again keeps what made its codes.

    Raises:
        RenderError: its frames did not arrive, so every further segment would be in vain.
    """
    if not (run.media / f"{done.frames_sha256}.mkv").exists():
        raise RenderError(
            f"{segment.name} is made, but its frames are not in {run.media}. "
            "Give a --run that all machines of the cluster share under the same path."
        )
    committed = run.segments.get(segment.key)
    if committed is not None:
        if committed.media_sha256 != done.frames_sha256:
            run.commit(replace(committed, media_sha256=done.frames_sha256))
        return
    run.commit(
        replace(
            Commit.of_codes(segment.key, done.codes),
            media_sha256=done.frames_sha256,
            device=done.device,
            dtype=done.dtype,
            num_threads=done.num_threads,
            seconds=done.seconds,
            version=__version__,
        )
    )


def _report(plan: Plan, run: Run, failures: dict[str, str]) -> RenderError:
    lines = [f"  {plan.by_key[key].name}: {reason}" for key, reason in failures.items()]
    num_done = sum(segment.key in run.segments for segment in plan.segments)
    shots = {plan.by_key[key].shot for key in failures}
    return RenderError(
        f"{', '.join(sorted(shots))} failed; {num_done} of {plan.num_segments} segments are committed "
        f"in {run.folder}:\n" + "\n".join(lines) + "\nMend the cause and render again: it goes on from there."
    )
