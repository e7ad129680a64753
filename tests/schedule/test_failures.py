"""What is decided after a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa_ray.errors import (
    AssetError,
    CheckpointError,
    LostError,
    MediaError,
    OutputError,
    ReplicaError,
    StoryboardError,
)
from ursa_ray.schedule import BlockNode, Failure, GiveUp, Place, Requeue, Retry, after_failure, node_to_block

MACHINE = [
    MediaError("disk full"),
    ReplicaError("crashed"),
    OutputError("NaN"),
    OSError(5, "input/output error"),
    RuntimeError("out of memory"),
    MemoryError(),
]


def failures(*errors, key="k", node="n"):
    return [Failure(key, error, Place(f"replica {number}", node)) for number, error in enumerate(errors)]


@pytest.mark.parametrize("error", MACHINE, ids=lambda error: type(error).__name__)
def test_what_may_be_the_machine_is_tried_on_three_replicas_in_all(error):
    assert after_failure(failures(error), 0) == Retry(2, str(error))
    assert after_failure(failures(error, error), 0) == Retry(3, str(error))
    assert after_failure(failures(error, error, error), 0) == GiveUp(f"failed 3 times, the last time with: {error}")


@pytest.mark.parametrize("kind", [AssetError, CheckpointError, StoryboardError])
def test_what_the_user_gave_is_given_up_at_once(kind):
    assert after_failure(failures(kind("still.png: is damaged")), 0) == GiveUp("still.png: is damaged")


def test_a_lost_replica_costs_no_attempt():
    lost, crash = LostError("preempted"), ReplicaError("crashed")
    assert after_failure(failures(crash, crash, lost), 1) == Requeue(0, "preempted")
    assert after_failure(failures(lost, lost, lost, lost, crash), 0) == Retry(2, "crashed")


def test_losses_in_a_row_wait_longer_and_longer_and_end():
    lost = LostError("gone")
    waits = [after_failure(failures(*[lost] * number), number) for number in range(1, 11)]
    assert [wait.wait_s for wait in waits[:-1]] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert waits[-1] == GiveUp("lost 10 replicas in a row without a step, the last time with: gone")


def test_a_node_on_which_three_segments_failed_is_blocked():
    crash = ReplicaError("crashed")
    two = failures(crash, key="a") + failures(crash, crash, key="b")
    assert node_to_block(two, "n", 2) is None
    assert node_to_block(two + failures(crash, key="c", node="other"), "n", 2) is None
    assert node_to_block(two + failures(crash, key="c"), "n", 2) == BlockNode("n", "3 segments failed on it")


def test_the_last_node_is_never_blocked():
    assert node_to_block([f for key in "abcde" for f in failures(OSError(), key=key)], "n", 1) is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["lost", "user", "crash"]))))
def test_a_node_is_blocked_for_what_it_may_have_caused_alone(happened):
    kinds = {"lost": LostError("x"), "user": AssetError("x"), "crash": ReplicaError("x")}
    found = node_to_block([f for key, kind in happened for f in failures(kinds[kind], key=key)], "n", 2)
    assert (found is not None) == (len({key for key, kind in happened if kind == "crash"}) >= 3)
