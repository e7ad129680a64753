"""The director: feeds ready segments to replicas, commits what returns, joins the film.

It decides with `schedule`, keeps what is done in the run, and leaves the work to an executor: the one in `executor`
runs segments one after another in this process, the one in `cluster` on the replicas of a Ray cluster.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import sleep
from typing import Any

from ursa_ray import __version__
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.errors import AssetError, OutputError, RenderError
from ursa_ray.executor import Event, Executor, Failed, InProcessExecutor
from ursa_ray.files import file_sha256, published
from ursa_ray.interrupt import uninterrupted
from ursa_ray.join import join, joined_film
from ursa_ray.ledger import FILM, Commit, Run
from ursa_ray.plan import ClipCondition, ImageCondition, Plan, Segment
from ursa_ray.report import now, remove_report, write_report
from ursa_ray.returned import Expected, require_segment, require_step
from ursa_ray.schedule import Failure, GiveUp, Job, Place, Requeue, Schedule
from ursa_ray.work import Done, Request, Step

__all__ = ["Executor", "Failed", "InProcessExecutor", "Listener", "Rendered", "render"]


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

    film: str
    sha256: str
    num_frames: int
    generated_segments: int
    reused_segments: int


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
        _forget_steps(run)
        num_missing = sum(segment.key not in run.segments for segment in plan.segments)
        num_reused = plan.num_segments - num_missing
        listener.begin(plan, num_reused)
        sha256 = joined_film(plan, run)
        if sha256 is None:
            if {segment.key for segment in plan.segments} - run.framed():
                with executor:
                    Director(plan, run, executor, listener).make_segments()
            listener.join(plan)
            sha256 = join(plan, run)
        remove_report(run)
    return Rendered(run.where(FILM), sha256, plan.num_frames, num_missing, num_reused)


def _keep_assets(plan: Plan, run: Run) -> None:
    """Copy images and clips into the run, where replicas on all machines find them unchanged."""
    for segment in plan.segments:
        if isinstance(segment.condition, ImageCondition | ClipCondition):
            sha256, path = segment.condition.sha256, segment.condition.path
            if not _is_kept(run, sha256):
                with run.store.writing("assets") as folder, published(folder / sha256) as aside:
                    shutil.copyfile(path, aside)
                    if file_sha256(aside) != sha256:
                        raise AssetError(f"{path}: has changed since it was planned with. Render again.")


def _is_kept(run: Run, sha256: str) -> bool:
    """Whether an asset is in the run, unchanged: a damaged one would condition segments, and nothing would tell."""
    if not run.store.exists(f"assets/{sha256}"):
        return False
    with run.store.reading(f"assets/{sha256}") as path:
        return file_sha256(path) == sha256


def _forget_steps(run: Run) -> None:
    """Of segments whose render was killed right after their commit."""
    for key in run.store.names("steps"):
        if key in run.segments:
            run.steps.clear(key)


class Director:
    """Makes the missing segments of one plan; `pause` waits for seconds."""

    def __init__(
        self, plan: Plan, run: Run, executor: Executor, listener: Listener, pause: Callable[[float], object] = sleep
    ):
        self._plan, self._run, self._executor, self._listener, self._pause = plan, run, executor, listener, pause
        self._expected = Expected.of(open_checkpoint(plan.model))
        self._schedule = Schedule(_jobs(plan, run))
        self._places: dict[str, Place] = {}

    def make_segments(self) -> None:
        try:
            while not self._schedule.is_over:
                while self._executor.num_idle and (key := self._schedule.next()) is not None:
                    self._listener.start(self._plan.by_key[key])
                    self._places[key] = self._executor.submit(_request(self._plan, self._run, self._plan.by_key[key]))
                event = self._executor.next_event()
                if event is not None:
                    self._take(event)
        except KeyboardInterrupt:
            for done in self._executor.arrived():
                self._take(done)
            raise
        if self._schedule.failures:
            raise _failure(self._plan, self._run, write_report(self._plan, self._run, self._schedule))

    def _take(self, event: Event) -> None:
        segment = self._plan.by_key[event.key]
        try:
            match event:
                case Step():
                    require_step(event, segment)
                    self._schedule.step(segment.key)
                    self._listener.step(segment, event.done, event.total)
                case Done():
                    require_segment(event, segment, self._expected)
                    _commit(self._run, segment, event)
                    self._schedule.finish(segment.key)
                    self._listener.finish(segment, event.seconds)
                case Failed():
                    self._fail(segment, event.error)
        except OutputError as error:
            self._executor.replace(self._places[segment.key])
            self._fail(segment, error)

    def _fail(self, segment: Segment, error: Exception) -> None:
        place = self._places[segment.key]
        if isinstance(error, OutputError):
            self._run.steps.clear(segment.key)  # the steps before are as doubtful
        action = self._schedule.fail(Failure(segment.key, error, place, now()))
        self._listener.fail(segment, error, not isinstance(action, GiveUp))
        if self._schedule.block(place.node, self._executor.num_nodes) is not None:
            self._executor.block(place.node)
        if isinstance(action, Requeue):
            self._pause(action.wait_s)


def _jobs(plan: Plan, run: Run) -> list[Job]:
    """Segments to generate, and committed ones whose frames are gone and must be decoded again."""
    jobs, framed = [], run.framed()
    for segment in plan.segments:
        if segment.key not in run.segments:
            parent = None if segment.parent in run.segments else segment.parent
            jobs.append(Job(segment.key, after=parent, remaining=plan.chain[segment.key][1]))
        elif segment.key not in framed:
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
    if not run.store.exists(f"media/{done.frames_sha256}.mkv"):
        raise RenderError(
            f"{segment.name} is made, but its frames are not in {run.where('media')}. "
            "Give a --run that all machines of the cluster share under the same path."
        )
    committed = run.segments.get(segment.key)
    if committed is None:
        commit = replace(
            Commit.of_codes(segment.key, done.codes),
            media_sha256=done.frames_sha256,
            device=done.device,
            dtype=done.dtype,
            num_threads=done.num_threads,
            seconds=done.seconds,
            version=__version__,
        )
    elif committed.media_sha256 != done.frames_sha256:
        commit = replace(committed, media_sha256=done.frames_sha256)
    else:
        return
    with uninterrupted():
        run.commit(commit)
    run.steps.clear(segment.key)


def _failure(plan: Plan, run: Run, report: dict[str, Any]) -> RenderError:
    lines = [f"  {failed['segment']}: {failed['reason']}" for failed in report["failed"]]
    shots = {failed["shot"] for failed in report["failed"]}
    return RenderError(
        f"{', '.join(sorted(shots))} failed; {report['num_committed']} of {plan.num_segments} segments are committed "
        f"in {run.url}:\n" + "\n".join(lines) + "\nMend the cause and render again: it goes on from there."
    )
