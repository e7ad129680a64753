"""Which nodes are about to be taken: spot machines get a notice, and autoscalers give one before they end a node.

Asked with a private class of Ray, as Ray Train does: there is no public way.
"""

from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import ray
from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue]
from ray.exceptions import RayError

# Notices come 30 s to 2 min ahead; a question takes the head a millisecond.
ASK_EVERY_S = 5.0


class DrainingNodes:
    """`ids` of the nodes, asked for now and then."""

    def __init__(self, clock: Callable[[], float] = monotonic):
        self._client = GcsClient(address=ray.get_runtime_context().gcs_address)
        self._clock, self._asked = clock, clock() - ASK_EVERY_S
        self._ids: frozenset[str] = frozenset()

    @property
    def ids(self) -> frozenset[str]:
        if self._clock() - self._asked >= ASK_EVERY_S:
            self._asked = self._clock()
            with suppress(RayError):  # a render can do without
                self._ids = frozenset(self._client.get_draining_nodes())
        return self._ids
