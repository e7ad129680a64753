"""What to do when a segment fails: who is to blame decides what it costs.

    a replica that was preempted or lost with its node   nothing, as long as the segment gets on at all
    a crash, no memory, wrong output                     an attempt; three and the segment is given up
    three segments that failed on one node               the node, if there is another
    the disk or bucket of the run                        an attempt, but not the replica; three times in a row from one
                                                         node: the node, and the render if there is no other
    what the user gave                                   the segment, at once

After any failure but the last two kinds the executor lets go of the replica and starts a fresh one, so that no replica
fails a segment twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ursa_ray.errors import InputError, LostError, StoreError

MAX_ATTEMPTS = 3
MAX_SEGMENTS_ON_NODE = 3
MAX_REFUSED = 3

# Replicas that a segment loses in a row, without a step in between, before it is given up: 4 minutes of waiting.
MAX_LOST = 10
MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class Place:
    """A replica, the node that it is on, and what kind of device it has; no replica ever gets the name of another."""

    replica: str
    node: str
    device: str = ""


@dataclass(frozen=True)
class Failure:
    """What became of an attempt at the segment `key`; `when` in ISO 8601."""

    key: str
    error: Exception
    place: Place
    when: str = ""

    @property
    def is_blameless(self) -> bool:
        return isinstance(self.error, LostError)


@dataclass(frozen=True)
class Retry:
    attempt: int
    reason: str


@dataclass(frozen=True)
class Requeue:
    wait_s: float
    reason: str


@dataclass(frozen=True)
class GiveUp:
    reason: str


@dataclass(frozen=True)
class BlockNode:
    node: str
    reason: str


Action = Retry | Requeue | GiveUp


def after_failure(failures: Sequence[Failure], num_lost: int) -> Action:
    """Decide after the failures of one segment, oldest first.

    `num_lost` of them, the last ones, were losses since it last made a step.
    """
    error = failures[-1].error
    if isinstance(error, InputError):
        return GiveUp(str(error))
    if isinstance(error, LostError):
        if num_lost >= MAX_LOST:
            return GiveUp(f"lost {num_lost} replicas in a row without a step, the last time with: {error}")
        return Requeue(wait_s(num_lost), str(error))
    num_attempts = sum(not failure.is_blameless for failure in failures)
    if num_attempts >= MAX_ATTEMPTS:
        return GiveUp(f"failed {num_attempts} times, the last time with: {error}")
    return Retry(num_attempts + 1, str(error))


def wait_s(num_lost: int) -> float:
    """Seconds before the next try after so many losses in a row: 0, 1, 2, 4 and so on up to a minute."""
    return 0.0 if num_lost <= 1 else min(MAX_WAIT_S, 2.0 ** (num_lost - 2))


def node_to_block(failures: Iterable[Failure], node: str, num_nodes: int) -> BlockNode | None:
    """Decide about a node after the failures of a render; the last of `num_nodes` is never blocked.

    What the user gave and what was lost says nothing about a node; what its disk refuses is counted otherwise.
    """
    keys = {
        failure.key
        for failure in failures
        if failure.place.node == node and not isinstance(failure.error, LostError | InputError | StoreError)
    }
    if len(keys) < MAX_SEGMENTS_ON_NODE or num_nodes < 2:
        return None
    return BlockNode(node, f"{len(keys)} segments failed on it")
