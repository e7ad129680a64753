"""Which job is next, and what becomes of the others when jobs fail."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa_ray.errors import AssetError, LostError, ReplicaError
from ursa_ray.schedule import BlockNode, Demand, GiveUp, Job, Place, Requeue, Retry, Schedule

CRASH = ReplicaError("crashed")


def on(key, node="n"):
    """The replica that works on a job: in these tests one for each."""
    return Place(f"replica of {key}", node)


def take(schedule, now=0, node="n"):
    key = schedule.next(now)
    if key is not None:
        schedule.start(key, on(key, node), now)
    return key


def taken(schedule):
    """All that can be taken now."""
    keys = []
    while (key := take(schedule)) is not None:
        keys.append(key)
    return keys


def finish(schedule, key, now=0):
    schedule.finish(on(key), now)


def fail(schedule, key, error=CRASH, now=0, node="n"):
    return schedule.fail(on(key, node), error, now)


def running(schedule):
    return {attempt.key for attempt in schedule.running.values()}


def test_the_longest_remaining_chain_is_first():
    assert taken(Schedule([Job("a", None, 1), Job("b", None, 3), Job("c", None, 2)])) == ["b", "c", "a"]


def test_ties_go_to_the_one_that_was_given_first():
    assert taken(Schedule(Job(key, None, 1) for key in "qzab")) == ["q", "z", "a", "b"]


def test_a_job_waits_for_the_one_before_it():
    schedule = Schedule([Job("a", None, 3), Job("b", "a", 2), Job("c", "b", 1)])
    assert taken(schedule) == ["a"]
    finish(schedule, "a")
    assert taken(schedule) == ["b"]
    finish(schedule, "b")
    assert taken(schedule) == ["c"]
    assert not schedule.is_over
    finish(schedule, "c")
    assert schedule.is_over


def test_what_comes_after_something_that_is_not_among_the_jobs_is_ready():
    assert taken(Schedule([Job("b", "committed", 1)])) == ["b"]


def test_children_may_be_given_before_their_parents():
    schedule = Schedule([Job("b", "a", 1), Job("a", None, 2)])
    assert taken(schedule) == ["a"]


def test_chains_run_side_by_side():
    schedule = Schedule([Job("a", None, 2), Job("a2", "a", 1), Job("b", None, 2), Job("b2", "b", 1)])
    assert taken(schedule) == ["a", "b"]
    finish(schedule, "b")
    assert taken(schedule) == ["b2"]
    assert running(schedule) == {"a", "b2"}


def test_a_failed_job_is_tried_again_in_its_place():
    schedule = Schedule([Job("a", None, 2), Job("b", None, 1)])
    assert take(schedule) == "a"
    assert fail(schedule, "a") == Retry(2, "crashed")
    assert take(schedule) == "a"


def test_a_job_given_up_leaves_what_comes_after_it_and_nothing_else():
    schedule = Schedule([Job("a", None, 2), Job("a2", "a", 1), Job("b", None, 2), Job("b2", "b", 1)])
    assert taken(schedule) == ["a", "b"]
    assert fail(schedule, "a", AssetError("no such file")) == GiveUp("no such file")
    finish(schedule, "b")
    assert taken(schedule) == ["b2"]
    finish(schedule, "b2")
    assert schedule.is_over
    assert schedule.failures == {"a": "no such file"}


def test_no_jobs_are_over_at_once():
    schedule = Schedule([])
    assert schedule.is_over
    assert schedule.next(0) is None


def test_ready_jobs_are_counted():
    schedule = Schedule([Job("a", None, 2), Job("b", None, 2), Job("c", "a", 1)])
    assert schedule.num_ready == 2
    schedule.next(0)
    assert schedule.num_ready == 1


@st.composite
def forests(draw):
    """The number of the job that each comes after, or None."""
    num = draw(st.integers(1, 12))
    return [draw(st.sampled_from([None, *range(number)])) for number in range(num)]


KINDS = {"crash": CRASH, "bad": AssetError("bad")}


class Trace:
    """A schedule run to its end by whatever hypothesis draws, and what happened."""

    def __init__(self, parents, data):
        self.parents = {str(number): None if parent is None else str(parent) for number, parent in enumerate(parents)}
        self.starts, self.finished, self.given_up = Counter(), set(), set()
        remaining = data.draw(st.lists(st.integers(0, 5), min_size=len(parents), max_size=len(parents)))
        self.schedule = Schedule(
            Job(key, parent, cost) for (key, parent), cost in zip(self.parents.items(), remaining, strict=True)
        )
        while not self.schedule.is_over:
            choices = ["start"] * (self.schedule.num_ready > 0) + ["finish", "crash", "bad"] * bool(
                self.schedule.running
            )
            self.do(data.draw(st.sampled_from(choices)), data)

    def do(self, action, data):
        if action == "start":
            key = take(self.schedule)
            assert self.parents[key] is None or self.parents[key] in self.finished
            assert key not in self.finished | self.given_up
            self.starts[key] += 1
            return
        key = data.draw(st.sampled_from(sorted(running(self.schedule))))
        if action == "finish":
            finish(self.schedule, key)
            self.finished.add(key)
        elif isinstance(fail(self.schedule, key, KINDS[action]), GiveUp):
            self.given_up.add(key)

    def is_below_a_failure(self, key):
        return key is not None and (key in self.given_up or self.is_below_a_failure(self.parents[key]))


@settings(deadline=None, max_examples=150)
@given(forests(), st.data())
def test_whatever_happens_each_job_finishes_or_hangs_on_one_that_failed(parents, data):
    trace = Trace(parents, data)
    assert trace.finished == {key for key in trace.parents if not trace.is_below_a_failure(key)}
    assert trace.schedule.failures.keys() == trace.given_up
    assert all(num <= 3 for num in trace.starts.values())
    assert trace.starts.keys() == trace.finished | trace.given_up


@settings(deadline=None, max_examples=50)
@given(forests(), st.data())
def test_it_is_over_exactly_when_nothing_runs_and_nothing_is_ready(parents, data):
    schedule = Schedule(Job(str(n), None if p is None else str(p), 1) for n, p in enumerate(parents))
    finished = set()
    while len(finished) < len(parents):
        ready = {str(n) for n, p in enumerate(parents) if p is None or str(p) in finished}
        waiting = ready - finished - running(schedule)
        assert schedule.num_ready == len(waiting)
        assert not schedule.is_over
        if waiting and (not schedule.running or data.draw(st.booleans())):
            assert take(schedule) in waiting
        else:
            key = data.draw(st.sampled_from(sorted(running(schedule))))
            finish(schedule, key)
            finished.add(key)
    assert schedule.is_over


def test_only_what_runs_can_finish_or_fail():
    schedule = Schedule([Job("a", None, 1)])
    with pytest.raises(KeyError):
        finish(schedule, "a")
    with pytest.raises(KeyError):
        fail(schedule, "a")


def fail_once_begun(schedule, key, error, now=0):
    assert take(schedule, now) == key
    return fail(schedule, key, error, now)


def test_a_lost_job_waits_longer_each_time_and_others_go_first():
    schedule = Schedule([Job("a", None, 2), Job("b", None, 1)])
    fail_once_begun(schedule, "a", LostError("gone"))
    fail_once_begun(schedule, "a", LostError("gone"), now=5)
    assert (schedule.wakes_at, schedule.num_ready) == (6, 1)
    assert take(schedule, 5.9) == "b"
    assert take(schedule, 5.9) is None
    assert not schedule.is_over
    assert take(schedule, 6) == "a"
    assert schedule.wakes_at is None


def test_an_idle_replica_is_woken_when_a_job_is_due_and_a_busy_one_when_late_ones_are_looked_for():
    schedule = Schedule([Job("a", None, 2)])
    assert schedule.patience_s(num_idle=1, now=0) == 5
    fail_once_begun(schedule, "a", LostError("gone"))
    fail_once_begun(schedule, "a", LostError("gone"), now=5)
    assert [schedule.patience_s(1, now) for now in (0, 5, 5.75, 7)] == [5, 1, 0.25, 0]
    assert schedule.patience_s(num_idle=0, now=5.75) == 5


def test_frames_are_written_in_vain_once_a_node_could_not_three_times_in_a_row():
    schedule = Schedule([])
    assert [schedule.refuse("a"), schedule.refuse("a"), schedule.refuse("b")] == [False] * 3
    schedule.accept("a")
    schedule.accept("c")
    assert [schedule.refuse("a") for _ in range(4)] == [False, False, True, False]
    assert [schedule.refuse("b") for _ in range(2)] == [False, True]


def test_losses_are_forgotten_with_the_next_step():
    schedule, lost = Schedule([Job("a", None, 1)]), LostError("gone")
    assert [fail_once_begun(schedule, "a", lost, now).wait_s for now in (0, 10, 20)] == [0, 1, 2]
    assert take(schedule, 30) == "a"
    schedule.step(on("a"), 1)
    assert fail(schedule, "a", lost) == Requeue(0, "gone")


def test_losses_without_end_end():
    schedule, now = Schedule([Job("a", None, 2), Job("b", "a", 1)]), 0
    while not schedule.is_over:
        fail_once_begun(schedule, "a", LostError("gone"), now)
        now = schedule.wakes_at or now
    assert schedule.failures.keys() == {"a"}
    assert len(schedule.attempts["a"]) == 10


def test_a_node_is_blocked_once():
    schedule = Schedule(Job(key, None, 1) for key in "abcd")
    for key in "abc":
        assert take(schedule) == key
    for key in "ab":
        fail(schedule, key)
        assert schedule.block("n", 2) is None
    fail(schedule, "c")
    assert schedule.block("n", 2) == BlockNode("n", "3 segments failed on it")
    assert schedule.block("n", 1) is None


def after_peers(num=3, device=""):
    """A schedule in which so many jobs of cost 2 have taken 20 s, and "x", which costs 3, has begun at 100 s."""
    schedule = Schedule([*(Job(str(n), None, 9, 2) for n in range(num)), Job("x", None, 3, 3)])
    for n in range(num):
        schedule.start(schedule.next(0), Place(str(n), "n"), 0)
        schedule.finish(Place(str(n), "n"), 20)
    schedule.start(schedule.next(100), Place("slow", "m", device), 100)
    return schedule


def test_a_job_that_takes_twice_as_long_as_its_peers_is_late_once():
    schedule = after_peers()
    # Three times 10 s are expected, twice that and 10 s are too much.
    assert schedule.late(100 + 70) == []
    assert schedule.late(100 + 70.1) == [Place("slow", "m")]
    assert schedule.late(1000) == []


def test_too_few_peers_or_peers_on_other_devices_make_nobody_late():
    assert after_peers(num=2).late(10_000) == []
    assert after_peers(device="older").late(10_000) == []


def test_an_idle_replica_takes_a_late_job_and_the_other_is_told_to_stop():
    schedule = after_peers()
    assert schedule.next(200) is None
    schedule.late(200)
    assert schedule.next(200) == "x"
    schedule.start("x", Place("quick", "n"), 200)
    assert schedule.next(200) is None
    schedule.finish(Place("quick", "n"), 230)
    assert schedule.in_vain == [Place("slow", "m")]
    assert schedule.is_over


def test_a_late_job_calls_for_another_replica_until_it_is_done():
    schedule = after_peers()
    before = schedule.demand
    schedule.late(200)
    assert schedule.demand == Demand(before.now + 1, before.ever + 1)
    schedule.start(schedule.next(200), Place("fast", "n", "card"), 200)
    assert schedule.demand == Demand(before.now + 1, before.ever + 1)
    schedule.finish(Place("fast", "n", "card"), 230)
    assert schedule.demand == Demand(0, 0)


def test_the_late_one_may_still_win():
    schedule = after_peers()
    schedule.late(200)
    schedule.start(schedule.next(200), Place("quick", "n"), 200)
    schedule.finish(Place("slow", "m"), 201)
    assert schedule.in_vain == [Place("quick", "n")]


def test_one_of_two_attempts_that_fails_leaves_the_other_at_work():
    schedule = after_peers()
    schedule.late(200)
    schedule.start(schedule.next(200), Place("quick", "n"), 200)
    assert schedule.fail(Place("slow", "m"), CRASH, 210) == Retry(2, "crashed")
    assert (schedule.num_ready, running(schedule)) == (0, {"x"})
    schedule.fail(Place("quick", "n"), CRASH, 220)
    assert schedule.next(220) == "x"


def test_ready_jobs_go_before_late_ones():
    schedule = Schedule([Job(key, None, 1, 1) for key in "abcde"])
    for key in "abcd":
        schedule.start(schedule.next(0), on(key), 0)
    for key in "abc":
        finish(schedule, key, 1)
    assert schedule.late(100) == [on("d")]
    assert [schedule.next(100), schedule.next(100), schedule.next(100)] == ["e", "d", None]


def test_the_job_of_a_replica_that_is_about_to_be_lost_may_be_tried_elsewhere():
    schedule = Schedule([Job("a", None, 1)])
    take(schedule)
    schedule.leave(on("a"))
    assert schedule.next(0) == "a"
    schedule.leave(Place("idle", "n"))
    assert schedule.next(0) is None


def test_demand_counts_chains_that_go_on_and_all_that_are_to_come():
    # a forks into b and c; d is alone.
    schedule = Schedule([Job("a", None, 3), Job("b", "a", 2), Job("c", "a", 1), Job("d", None, 1)])
    assert schedule.demand == Demand(now=2, ever=3)
    assert taken(schedule) == ["a", "d"]
    assert schedule.demand == Demand(now=2, ever=3)
    finish(schedule, "d")
    assert schedule.demand == Demand(now=1, ever=2)
    finish(schedule, "a")
    assert schedule.demand == Demand(now=2, ever=2)
    assert taken(schedule) == ["b", "c"]
    fail(schedule, "b", LostError("gone"))
    assert schedule.demand == Demand(now=2, ever=2)
    finish(schedule, "c")
    assert schedule.demand == Demand(now=1, ever=1)


def test_what_hangs_on_a_job_that_was_given_up_demands_nothing():
    schedule = Schedule([Job("a", None, 3), Job("b", "a", 2), Job("c", "a", 1), Job("d", None, 1)])
    taken(schedule)
    fail(schedule, "a", AssetError("no such file"))
    assert schedule.demand == Demand(now=1, ever=1)


def with_frames_to_come(now=0):
    schedule = Schedule([Job("a", None, 2, 1.0), Job("b", "a", 1, 1.0)])
    take(schedule)
    finish(schedule, "a")
    schedule.await_frames("a", on("a"), now)
    return schedule


def test_what_comes_after_a_job_does_not_wait_for_its_frames_but_the_end_does():
    schedule = with_frames_to_come()
    assert take(schedule) == "b"
    finish(schedule, "b")
    assert not schedule.is_over
    schedule.framing.clear()
    assert schedule.is_over


def test_lost_frames_are_made_after_all_that_others_wait_for():
    schedule = with_frames_to_come()
    schedule.lose_frames("a")
    assert schedule.demand == Demand(2, 2)
    assert taken(schedule) == ["b", "a"]
    finish(schedule, "b")
    finish(schedule, "a")
    assert (schedule.is_over, schedule.demand) == (True, Demand(0, 0))


def test_frames_that_cannot_be_made_again_fail_and_nothing_else_does():
    schedule = with_frames_to_come()
    schedule.lose_frames("a")
    assert take(schedule) == "b"
    finish(schedule, "b")
    for _ in range(3):
        assert take(schedule) == "a"
        fail(schedule, "a")
    assert (schedule.is_over, schedule.demand, schedule.failures.keys()) == (True, Demand(0, 0), {"a"})


def test_what_a_job_failed_before_it_was_finished_does_not_count_against_its_frames():
    schedule = Schedule([Job("a", None, 1, 1.0)])
    for _ in range(2):
        fail_once_begun(schedule, "a", CRASH)
    assert take(schedule) == "a"
    finish(schedule, "a")
    schedule.await_frames("a", on("a"), 0)
    schedule.lose_frames("a")
    assert [fail_once_begun(schedule, "a", CRASH) for _ in range(2)] == [Retry(2, "crashed"), Retry(3, "crashed")]
    assert isinstance(fail_once_begun(schedule, "a", CRASH), GiveUp)
    assert len(schedule.attempts["a"]) == 5


def test_frames_are_overdue_after_ten_minutes_until_they_are_lost():
    schedule = with_frames_to_come(now=100)
    assert schedule.frames_overdue(700) == []
    assert schedule.frames_overdue(701) == [("a", on("a"))]
    schedule.lose_frames("a")
    assert (schedule.frames_overdue(701), schedule.num_ready) == ([], 2)
