"""The director: feeds ready segments to replicas and commits what returns.

It decides with `schedule`, keeps what is done in the run, and leaves the work to an executor.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from ursa_ray import __version__
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.errors import OutputError, RenderError, StoreError
from ursa_ray.exchange import Done, Request, Step
from ursa_ray.executor import Event, Executor, Failed, Framed, Held, Leaving
from ursa_ray.failed import attempts, failure, now
from ursa_ray.interrupt import uninterrupted
from ursa_ray.ledger import Commit, Run, preview_name
from ursa_ray.listener import Listener, Load
from ursa_ray.plan import Plan, Segment
from ursa_ray.returned import Expected, require_segment, require_step
from ursa_ray.schedule import LOOK_EVERY_S, BlockNode, GiveUp, Job, Place, Schedule, missing_jobs
from ursa_ray.writer import MAX_WRITING_S


class Director:
    """Makes the missing segments of one plan, and the frames that are gone of all but the `spared` keys.

    `clock` is in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        executor: Executor,
        listener: Listener,
        clock: Callable[[], float] = monotonic,
        spared: Collection[str] = frozenset(),
    ):
        self._plan, self._run, self._executor, self._listener, self._clock = plan, run, executor, listener, clock
        self._expected = Expected.of(open_checkpoint(plan.model))
        self._schedule = Schedule(_jobs(plan, run, spared))
        self._looked = clock()

    def make_segments(self) -> None:
        try:
            while not self._schedule.is_over:
                self._dispatch()
                event = self._executor.next_event(self._schedule.patience_s(self._executor.num_idle, self._clock()))
                if event is not None:
                    self._take(*event)
                self._look_for_late_ones()
        except KeyboardInterrupt:
            for place, done in self._executor.arrived():
                self._take(place, done)
            raise
        if self._schedule.failures:
            raise failure(self._plan, self._run, self._schedule)

    def _dispatch(self) -> None:
        """Give idle replicas what there is to do."""
        schedule, executor = self._schedule, self._executor
        executor.scale(schedule.demand)
        while executor.num_idle and (key := schedule.next(self._clock())) is not None:
            segment = self._plan.by_key[key]
            place = executor.submit(_request(self._plan, self._run, segment))
            schedule.start(key, place, self._clock())
            if key in self._run.segments:
                self._listener.warn(segment, "its frames are missing, and are made again from its codes")
            else:
                self._listener.start(segment, place)
        num_framing = len(schedule.framing)
        self._listener.load(
            Load(schedule.num_ready, len(schedule.running), executor.num_idle, executor.num_starting, num_framing)
        )

    def _take(self, place: Place, event: Event) -> None:
        match event:
            case Leaving():
                self._schedule.leave(place)
                self._listener.leave(place)
            case Held():
                self._listener.hold(place, event.reason)
            case Framed():
                self._take_frames(place, event)
            case _ if place not in self._schedule.running:
                pass  # another was first, or wrong, and this one was let go meanwhile
            case Failed():
                self._fail(place, event.error)
            case Step() | Done():
                try:
                    self._take_work(place, event)
                except OutputError as error:
                    self._executor.replace(place)
                    self._fail(place, error)
        self._let_go_in_vain()

    def _take_work(self, place: Place, event: Step | Done) -> None:
        segment = self._plan.by_key[self._schedule.running[place].key]
        match event:
            case Step():
                require_step(event, segment)
                self._schedule.step(place, event.done)
                if event.computes:
                    self._listener.compute(place, event.computes)
                self._listener.step(segment, event.done, event.total)
                if event.has_preview:
                    self._listener.preview(segment, self._run.where(preview_name(segment.key)))
                if event.warning:
                    self._listener.warn(segment, event.warning)
            case Done():
                require_segment(event, segment, self._expected)
                is_new = segment.key not in self._run.segments
                _commit(self._run, segment, event, place, attempts(self._schedule, segment.key))
                self._schedule.finish(place, self._clock())
                if not event.is_framed:
                    self._schedule.await_frames(segment.key, place, self._clock())
                self._forget_steps(segment)
                if is_new:
                    self._listener.finish(segment, place, event.seconds)
                if event.is_framed:
                    self._schedule.accept(place.node)
                    self._listener.framed(segment)

    def _take_frames(self, place: Place, event: Framed) -> None:
        expected, _ = self._schedule.framing.get(event.key, (None, 0.0))
        if expected != place:
            return  # of a segment that was refused, or they took too long
        segment = self._plan.by_key[event.key]
        if event.error is None:
            _require_frames(self._run, segment, self._run.segments[event.key].media_sha256)
            del self._schedule.framing[event.key]
            self._schedule.accept(place.node)
            self._listener.framed(segment)
        else:
            self._listener.warn(segment, f"its frames were not written: {event.error}")
            self._schedule.lose_frames(event.key)
            self._require_disk(place, event.error)

    def _fail(self, place: Place, error: Exception) -> None:
        segment = self._plan.by_key[self._schedule.running[place].key]
        action = self._schedule.fail(place, error, self._clock(), now())
        if isinstance(error, OutputError):
            self._forget_steps(segment)  # those before are as doubtful
        if segment.key in self._run.segments:
            self._listener.warn(segment, f"its frames were not made from its codes: {error}")
        else:
            self._listener.fail(segment, place, error, not isinstance(action, GiveUp))
        blocked = self._schedule.block(place.node, self._executor.num_nodes)
        if blocked is not None:
            self._block(blocked)
        self._require_disk(place, error)

    def _require_disk(self, place: Place, error: Exception) -> None:
        """Have no frames made where they cannot be written.

        Raises:
            StoreError: that is everywhere.
        """
        if isinstance(error, StoreError) and self._schedule.refuse(place.node):
            if self._executor.num_nodes < 2:
                raise error
            self._block(BlockNode(place.node, str(error)))

    def _block(self, blocked: BlockNode) -> None:
        self._executor.block(blocked.node)
        self._listener.block(blocked)

    def _forget_steps(self, segment: Segment) -> None:
        """Once nobody makes it any more, who would write others."""
        self._let_go_in_vain()
        self._run.steps.clear(segment.key)

    def _let_go_in_vain(self) -> None:
        while self._schedule.in_vain:
            self._executor.replace(self._schedule.in_vain.pop())

    def _look_for_late_ones(self) -> None:
        if self._clock() - self._looked < LOOK_EVERY_S:
            return
        self._looked = self._clock()
        for place in self._schedule.late(self._looked):
            attempt = self._schedule.running[place]
            self._listener.late(self._plan.by_key[attempt.key], place, self._looked - attempt.began)
        for key, place in self._schedule.frames_overdue(self._looked):
            self._end_wait_for_frames(key, place)

    def _end_wait_for_frames(self, key: str, place: Place) -> None:
        """Nothing was heard of them. They may be there all the same: this process may have heard nothing for long."""
        sha256 = self._run.segments[key].media_sha256
        if self._run.store.exists(f"media/{sha256}.mkv"):
            self._take_frames(place, Framed(key))
            return
        self._take_frames(place, Framed(key, TimeoutError(f"nothing was heard of them for {MAX_WRITING_S:.0f} s")))
        if place not in self._schedule.running:  # else it fails when it has the next ones to write
            self._executor.replace(place)


def _jobs(plan: Plan, run: Run, spared: Collection[str]) -> list[Job]:
    """Segments to generate, and committed ones whose frames are gone and must be decoded again."""
    framed = run.framed() | set(spared)
    frameless = [key for key in plan.by_key if key in run.segments and key not in framed]
    return [*missing_jobs(plan, run.segments), *(Job(key, after=None, remaining=0.0) for key in frameless)]


def _request(plan: Plan, run: Run, segment: Segment) -> Request:
    if segment.key in run.segments:
        return Request(segment, plan.fps, codes=run.segments[segment.key].array())
    parent = segment.parent
    return Request(segment, plan.fps, parent_codes=None if parent is None else run.segments[parent].array())


def _commit(run: Run, segment: Segment, done: Done, place: Place, failed: list[dict[str, str]]) -> None:
    """Put a finished segment into the ledger; one that was only decoded again keeps what made its codes."""
    if done.is_framed:
        _require_frames(run, segment, done.frames_sha256)
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
            replica=place.replica,
            node=place.node,
            finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
            failed=failed or None,
            backends=done.backends or None,
        )
    elif committed.media_sha256 != done.frames_sha256:
        commit = replace(committed, media_sha256=done.frames_sha256)
    else:
        return
    with uninterrupted():
        run.commit(commit)


def _require_frames(run: Run, segment: Segment, sha256: str | None) -> None:
    """Look for what should be there now.

    Raises:
        RenderError: frames do not arrive, so every further segment would be in vain.
    """
    if not run.store.exists(f"media/{sha256}.mkv"):
        raise RenderError(
            f"{segment.name} is made, but its frames are not in {run.where('media')}. "
            "Give a --run that all machines of the cluster share under the same path."
        )
