"""Which job is next, and what becomes of the others when jobs fail."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa_ray.errors import AssetError, LostError, ReplicaError
from ursa_ray.schedule import BlockNode, Failure, GiveUp, Job, Place, Requeue, Retry, Schedule

CRASH = ReplicaError("crashed")


def failure(key, error=CRASH, node="n"):
    return Failure(key, error, Place("r", node))


def taken(schedule):
    """All that can be taken now."""
    keys = []
    while (key := schedule.next()) is not None:
        keys.append(key)
    return keys


def test_the_longest_remaining_chain_is_first():
    assert taken(Schedule([Job("a", None, 1), Job("b", None, 3), Job("c", None, 2)])) == ["b", "c", "a"]


def test_ties_go_to_the_one_that_was_given_first():
    assert taken(Schedule(Job(key, None, 1) for key in "qzab")) == ["q", "z", "a", "b"]


def test_a_job_waits_for_the_one_before_it():
    schedule = Schedule([Job("a", None, 3), Job("b", "a", 2), Job("c", "b", 1)])
    assert taken(schedule) == ["a"]
    schedule.finish("a")
    assert taken(schedule) == ["b"]
    schedule.finish("b")
    assert taken(schedule) == ["c"]
    assert not schedule.is_over
    schedule.finish("c")
    assert schedule.is_over


def test_what_comes_after_something_that_is_not_among_the_jobs_is_ready():
    assert taken(Schedule([Job("b", "committed", 1)])) == ["b"]


def test_children_may_be_given_before_their_parents():
    schedule = Schedule([Job("b", "a", 1), Job("a", None, 2)])
    assert taken(schedule) == ["a"]


def test_chains_run_side_by_side():
    schedule = Schedule([Job("a", None, 2), Job("a2", "a", 1), Job("b", None, 2), Job("b2", "b", 1)])
    assert taken(schedule) == ["a", "b"]
    schedule.finish("b")
    assert taken(schedule) == ["b2"]
    assert schedule.running == {"a", "b2"}


def test_a_failed_job_is_tried_again_in_its_place():
    schedule = Schedule([Job("a", None, 2), Job("b", None, 1)])
    assert schedule.next() == "a"
    assert schedule.fail(failure("a")) == Retry(2, "crashed")
    assert schedule.next() == "a"


def test_a_job_given_up_leaves_what_comes_after_it_and_nothing_else():
    schedule = Schedule([Job("a", None, 2), Job("a2", "a", 1), Job("b", None, 2), Job("b2", "b", 1)])
    assert taken(schedule) == ["a", "b"]
    assert schedule.fail(failure("a", AssetError("no such file"))) == GiveUp("no such file")
    schedule.finish("b")
    assert taken(schedule) == ["b2"]
    schedule.finish("b2")
    assert schedule.is_over
    assert schedule.failures == {"a": "no such file"}


def test_no_jobs_are_over_at_once():
    schedule = Schedule([])
    assert schedule.is_over
    assert schedule.next() is None


def test_ready_jobs_are_counted():
    schedule = Schedule([Job("a", None, 2), Job("b", None, 2), Job("c", "a", 1)])
    assert schedule.num_ready == 2
    schedule.next()
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
            key = self.schedule.next()
            assert self.parents[key] is None or self.parents[key] in self.finished
            assert key not in self.finished | self.given_up
            self.starts[key] += 1
            return
        key = data.draw(st.sampled_from(sorted(self.schedule.running)))
        if action == "finish":
            self.schedule.finish(key)
            self.finished.add(key)
        elif isinstance(self.schedule.fail(failure(key, KINDS[action])), GiveUp):
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
        waiting = ready - finished - schedule.running
        assert schedule.num_ready == len(waiting)
        assert not schedule.is_over
        if waiting and (not schedule.running or data.draw(st.booleans())):
            assert schedule.next() in waiting
        else:
            key = data.draw(st.sampled_from(sorted(schedule.running)))
            schedule.finish(key)
            finished.add(key)
    assert schedule.is_over


def test_only_what_runs_can_finish_or_fail():
    schedule = Schedule([Job("a", None, 1)])
    with pytest.raises(KeyError):
        schedule.finish("a")
    with pytest.raises(KeyError):
        schedule.fail(failure("a"))


def fail(schedule, key, error, node="n"):
    assert schedule.next() == key
    return schedule.fail(failure(key, error, node))


def test_losses_are_forgotten_with_the_next_step():
    schedule, lost = Schedule([Job("a", None, 1)]), LostError("gone")
    assert [fail(schedule, "a", lost).wait_s for _ in range(3)] == [0, 1, 2]
    schedule.step("a")
    assert fail(schedule, "a", lost) == Requeue(0, "gone")


def test_losses_without_end_end():
    schedule = Schedule([Job("a", None, 2), Job("b", "a", 1)])
    while not schedule.is_over:
        fail(schedule, "a", LostError("gone"))
    assert schedule.failures.keys() == {"a"}
    assert len(schedule.attempts["a"]) == 10


def test_a_node_is_blocked_once():
    schedule = Schedule(Job(key, None, 1) for key in "abcd")
    for key in "abc":
        assert schedule.next() == key
    for key in "ab":
        schedule.fail(failure(key))
        assert schedule.block("n", 2) is None
    schedule.fail(failure("c"))
    assert schedule.block("n", 2) == BlockNode("n", "3 segments failed on it")
    assert schedule.block("n", 1) is None
