"""What is decided after a failure."""

import pytest

from ursa_ray.errors import AssetError, CheckpointError, MediaError, ReplicaError, StoryboardError
from ursa_ray.schedule import GiveUp, Retry, after_failure

MACHINE = [
    MediaError("disk full"),
    ReplicaError("lost"),
    OSError(5, "input/output error"),
    RuntimeError("out of memory"),
]


@pytest.mark.parametrize("error", MACHINE, ids=lambda error: type(error).__name__)
def test_what_may_be_the_machine_is_tried_three_times_in_all(error):
    assert after_failure(1, error) == Retry(2)
    assert after_failure(2, error) == Retry(3)
    assert after_failure(3, error) == GiveUp(f"failed 3 times, the last time with: {error}")


@pytest.mark.parametrize("kind", [AssetError, CheckpointError, StoryboardError])
def test_what_the_user_gave_is_given_up_at_once(kind):
    assert after_failure(1, kind("still.png: is damaged")) == GiveUp("still.png: is damaged")
