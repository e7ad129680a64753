"""The director with replicas that do what a script says, two of them on one segment among it."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tests.storyboards import write
from ursa_ray.director import Director
from ursa_ray.errors import LostError, OutputError, RenderError, StoreError
from ursa_ray.exchange import Done
from ursa_ray.executor import Failed, Framed, Leaving
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.prepare import prepare
from ursa_ray.schedule import LOOK_EVERY_S, Place

ONE = """\
version: 1
model: tiny
shots:
  - {id: only, prompt: a green circle rises, frames: 9}
"""

A, B = Place("a", "n"), Place("b", "m")


class Scripted:
    """Replicas of which all are idle at first; what happens next is what the script's next line returns."""

    num_starting = 0

    def __init__(self, run, idle, script, num_nodes):
        self.run, self.idle, self.script, self.num_nodes = run, list(idle), list(script), num_nodes
        self.requests, self.blocked = [], []
        self.keys, self.replaced, self.patience_s, self.late_news = {}, [], [], []

    @property
    def num_idle(self):
        return len(self.idle)

    def scale(self, demand): ...

    def submit(self, request):
        place = self.idle.pop(0)
        self.keys[place] = request.segment.key
        self.requests.append(request)
        return place

    def next_event(self, timeout_s):
        self.patience_s.append(timeout_s)
        return self.script.pop(0)(self)

    def arrived(self):
        return self.late_news

    def replace(self, place):
        self.replaced.append(place)

    def block(self, node):
        self.blocked.append(node)

    def done(self, place):
        """What `tiny` could have made of one segment, if it saw nothing but code 0."""
        sha256 = hashlib.sha256(place.replica.encode()).hexdigest()
        with self.run.store.writing("media") as folder:
            (folder / f"{sha256}.mkv").write_bytes(b"frames")
        return place, Done(self.keys[place], np.zeros((5, 6, 8), np.uint16), sha256, "cpu", "float32", 1, 1.0)

    def done_but_for_frames(self, place):
        """The replica is idle again, and still writes."""
        _, done = self.done(place)
        self.idle.append(place)
        return place, replace(done, is_framed=False)


def leave(place):
    return lambda executor: (place, Leaving())


def done(place):
    return lambda executor: executor.done(place)


def lost(place):
    return lambda executor: (place, Failed(executor.keys[place], LostError("gone")))


def done_but_for_frames(place):
    return lambda executor: executor.done_but_for_frames(place)


def framed(place, error=None):
    return lambda executor: (place, Framed(executor.keys[place], error))


def failed(place, error):
    return lambda executor: (place, Failed(executor.keys[place], error))


def idle(*places):
    return lambda executor: executor.idle.extend(places)


def remove_frames(executor):
    (file,) = executor.run.store.names("media")
    executor.run.store.remove(f"media/{file}")


class Warnings(Listener):
    def __init__(self):
        self.words = []

    def warn(self, segment, words):
        self.words.append(words)


@pytest.fixture
def direct(tmp_path):
    plan, run = prepare(write(tmp_path, ONE)).plan, Run.create(tmp_path / "run")

    def act(idle, *script, clock=lambda: 0.0, listener=None, num_nodes=2):
        executor = Scripted(run, idle, script, num_nodes)
        with run.locked():
            run.begin(plan)
            try:
                Director(plan, run, executor, listener or Listener(), clock).make_segments()
            except KeyboardInterrupt:
                executor.was_interrupted = True
        return executor, run

    return act


def test_of_two_replicas_on_one_segment_the_first_is_committed_and_the_other_let_go(direct):
    executor, run = direct([A, B], leave(A), done(B))
    assert executor.keys[A] == executor.keys[B]
    assert executor.replaced == [A]
    assert [commit.media_sha256 for commit in run.segments.values()] == [hashlib.sha256(b"b").hexdigest()]


def test_interrupted_when_both_have_arrived_a_render_ends_in_order(direct):
    def interrupt(executor):
        executor.late_news = [executor.done(A), executor.done(B)]
        raise KeyboardInterrupt

    executor, run = direct([A, B], leave(A), interrupt)
    assert executor.was_interrupted
    assert [commit.media_sha256 for commit in run.segments.values()] == [hashlib.sha256(b"a").hexdigest()]


def test_wrong_output_of_one_stops_the_other_that_may_have_gone_on_from_it(direct):
    def wrong(executor):
        return A, Failed(executor.keys[A], OutputError("NaN"))

    executor, run = direct([A, B], leave(A), wrong, idle(Place("c", "n")), done(Place("c", "n")))
    assert executor.replaced == [B]
    assert len(run.segments) == 1


def test_when_both_are_found_to_be_wrong_the_segment_fails_once_and_is_made_again(direct):
    def wrong(place):
        return lambda executor: (place, Failed(executor.keys[place], OutputError("its card answers otherwise")))

    c = Place("c", "n")
    _, run = direct([A, B], leave(A), wrong(A), wrong(B), idle(c), done(c))
    assert [commit.media_sha256 for commit in run.segments.values()] == [hashlib.sha256(b"c").hexdigest()]


def test_a_step_that_a_replica_in_vain_has_saved_does_not_stay(direct):
    def save_and_finish(executor):
        executor.run.steps.save(executor.keys[A], 2, np.zeros((5, 6, 8), np.uint16))
        return executor.done(B)

    _, run = direct([A, B], leave(A), save_and_finish)
    assert run.steps.latest(next(iter(run.segments))) is None


def test_while_nobody_is_idle_what_is_due_is_not_waited_for_with_a_busy_loop(direct):
    now = [0.0]

    def nothing(executor):
        now[0] += 10

    # Lost twice in a row: it waits for a second. Then it is due, and no replica is there for a while.
    script = [lost(A), idle(B), lost(B), nothing, nothing, nothing, idle(A), done(A)]
    executor, _ = direct([A], *script, clock=lambda: now[0])
    assert executor.patience_s == [LOOK_EVERY_S] * len(script)


def test_a_segment_is_committed_before_its_frames_come_and_the_render_waits_for_them(direct):
    class Loads(Listener):
        def __init__(self):
            self.num_framing = []

        def load(self, load):
            self.num_framing.append(load.num_framing)

    def commits(executor):
        assert len(executor.run.segments) == 1

    told = Loads()
    executor, _ = direct([A], done_but_for_frames(A), commits, framed(A), listener=told)
    assert (executor.script, told.num_framing) == ([], [0, 1, 1])


def test_frames_that_are_lost_with_their_replica_are_made_from_the_codes_by_another(direct):
    executor, run = direct([A], done_but_for_frames(A), framed(A, LostError("gone")), done(A))
    made, again = executor.requests
    assert (made.codes, again.segment) == (None, made.segment)
    np.testing.assert_array_equal(again.codes, np.zeros((5, 6, 8)))
    assert len(run.segments) == 1


def test_a_committed_segment_whose_frames_are_made_again_is_not_said_to_begin_again(direct):
    class Told(Listener):
        def __init__(self):
            self.events = []

        def start(self, segment, place):
            self.events.append("start")

        def finish(self, segment, place, seconds):
            self.events.append("finish")

        def fail(self, segment, place, error, again):
            self.events.append("fail")

        def warn(self, segment, words):
            self.events.append(words)

    told = Told()
    direct([A], done_but_for_frames(A), framed(A, LostError("gone")), lost(A), idle(B), done(B), listener=told)
    assert told.events == [
        "start",
        "finish",
        "its frames were not written: gone",
        "its frames are missing, and are made again from its codes",
        "its frames were not made from its codes: gone",
        "its frames are missing, and are made again from its codes",
    ]


def test_frames_that_do_not_come_are_not_waited_for_for_ever(direct):
    now = [0.0]

    def hours(executor):
        now[0] += 3600
        remove_frames(executor)

    told = Warnings()
    script = [done_but_for_frames(A), hours, done(A), framed(A)]
    executor, _ = direct([A], *script, clock=lambda: now[0], listener=told)
    assert [request.codes is None for request in executor.requests] == [True, False]
    assert (executor.replaced, len(executor.script)) == ([A], 1)
    assert told.words[0] == "its frames were not written: nothing was heard of them for 600 s"


def test_frames_that_came_while_nothing_was_heard_for_long_are_taken(direct):
    now = [0.0]

    def hours(executor):
        now[0] += 3600

    told = Warnings()
    executor, _ = direct([A], done_but_for_frames(A), hours, clock=lambda: now[0], listener=told)
    assert (len(executor.requests), executor.replaced, told.words) == (1, [], [])


def test_frames_of_a_replica_that_was_refused_are_not_those_of_the_segment(direct):
    c = Place("c", "n")

    def refused(executor):
        place, event = executor.done_but_for_frames(A)
        executor.idle.remove(A)
        return place, replace(event, codes=event.codes[:1])

    script = [refused, idle(c), done_but_for_frames(c), framed(A, LostError("let go")), framed(A), framed(c)]
    executor, run = direct([A], *script)
    assert (executor.replaced, executor.script) == ([A], [])
    assert [commit.media_sha256 for commit in run.segments.values()] == [hashlib.sha256(b"c").hexdigest()]


def test_frames_that_are_said_to_be_there_and_are_not_end_the_render(direct):
    def elsewhere(executor):
        remove_frames(executor)
        return framed(A)(executor)

    with pytest.raises(RenderError, match=r"only\[0\] is made, but its frames are not in .*/media"):
        direct([A], done_but_for_frames(A), elsewhere)


FULL = StoreError("run/media: cannot be written (No space left on device).")


def test_a_disk_that_refuses_frames_three_times_in_a_row_ends_the_render_if_no_other_node_is_left(direct):
    script = [done_but_for_frames(A), framed(A, FULL), failed(A, FULL), idle(A), failed(A, FULL)]
    with pytest.raises(StoreError, match="No space left"):
        direct([A], *script, num_nodes=1)


def test_while_there_is_another_node_it_is_only_the_one_that_cannot_write_which_is_not_used(direct):
    script = [done_but_for_frames(A), framed(A, FULL), failed(A, FULL), idle(A), failed(A, FULL), idle(B), done(B)]
    executor, run = direct([A], *script)
    assert (executor.blocked, executor.replaced) == ([A.node], [])
    assert len(run.framed()) == 1


def test_interrupted_before_its_frames_come_a_segment_stays_committed(direct):
    def interrupt(executor):
        executor.late_news = [executor.done_but_for_frames(A)]
        raise KeyboardInterrupt

    executor, run = direct([A], interrupt)
    assert executor.was_interrupted
    assert len(run.segments) == 1
