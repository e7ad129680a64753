"""The replicas of a render: asked for when there is work for them, let go when there is none.

Asking makes an autoscaler start nodes, letting go makes it end them. A replica is an actor with one GPU, or one CPU
where there are none, or with several of one node; Ray neither restarts it nor repeats a call.
"""

import logging
from collections import Counter, deque
from collections.abc import Container
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from ursa_ray.cluster.draining import DrainingNodes
from ursa_ray.cluster.replica import FRAMES, Loaded
from ursa_ray.errors import InputError, ReplicaError
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import Event, Held, Leaving
from ursa_ray.schedule import Answers, Demand, Limits, Place

logger = logging.getLogger(__name__)

# A cluster may first have to start a node, pull an image and load weights; one without room after so long has none.
START_TIMEOUT_S = 1800

# Replicas in a row that cannot start before a render stops in which none works; while one does, the longest pause.
MAX_DEAD_AT_START = 3
MAX_PAUSE_S = 60.0

ACCELERATOR_LABEL = "ray.io/accelerator-type"


@dataclass(frozen=True)
class Ready:
    """A replica that has loaded its model; idle `since`."""

    actor: Any
    place: Place
    since: float = 0.0


class Pool:
    """Replicas of the class `kind`. `starting` maps what says that they are ready to actors; `busy` are at work.

    `events` are what became of replicas, oldest first.
    """

    def __init__(self, worker: WorkerOptions, limits: Limits, accelerators: tuple[str, ...], kind: type):
        self._worker, self._limits, self._accelerators, self._kind = worker, limits, accelerators, kind
        self._draining = DrainingNodes()
        self._answers = Answers()
        self._held: dict[Place, Ready] = {}
        self._leaving: set[Place] = set()
        self._writing: Counter[Place] = Counter()
        self._retiring: dict[Place, Ready] = {}
        self._blocked: set[str] = set()
        self._warned: set[str] = set()
        self._has_loaded = False
        self._num_dead_at_start = 0
        self._start_again_at = 0.0
        self._without_since: float | None = None
        self.starting: dict[Any, Any] = {}
        self.idle: list[Ready] = []
        self.busy: dict[Place, Ready] = {}
        self.events: deque[tuple[Place, Event]] = deque()

    @property
    def num_nodes(self) -> int:
        """Nodes that replicas can be on."""
        return sum(self._is_usable(node) for node in ray.nodes())

    def scale(self, demand: Demand) -> None:
        num_staying = len(self.idle) + sum(place not in self._leaving for place in self.busy)
        num_lacking = self._limits.num_wanted(demand) - num_staying - len(self.starting)
        for _ in range(num_lacking if monotonic() >= self._start_again_at else 0):
            self._start()
        for loading in list(reversed(self.starting))[: max(0, -num_lacking)]:  # the last has least behind it
            ray.kill(self.starting.pop(loading))
        idle_s = [monotonic() - replica.since for replica in self.idle]
        for _ in range(self._limits.num_to_release(demand, num_staying + len(self.starting), idle_s)):
            self._retire(self.idle.pop(0))

    def take(self) -> Ready:
        """An idle replica is busy from now on; the last that became idle still has the frames that it made."""
        replica = self.idle.pop()
        self.busy[replica.place] = replica
        return replica

    def give_back(self, place: Place) -> None:
        self._keep(self.busy.pop(place))

    def writes(self, place: Place) -> None:
        """A replica has frames to write, and is not ended in order before they are."""
        self._writing[place] += 1

    def has_written(self, place: Place) -> None:
        self._writing[place] -= 1
        if not self._writing[place]:
            del self._writing[place]
            if place in self._retiring:
                ray.kill(self._retiring.pop(place).actor)

    def let_go(self, place: Place) -> None:
        for replica in [replica for replica in self.idle if replica.place == place]:
            self.idle.remove(replica)
            ray.kill(replica.actor)
        for working in (self.busy, self._retiring):
            if place in working:
                ray.kill(working.pop(place).actor)

    def block(self, node: str) -> None:
        """Have no replica on this node, except for what it is making."""
        self._blocked.add(node)
        self._empty({node})

    def distrust(self, place: Place) -> str | None:
        """Why nothing of a replica must be used."""
        return self._answers.distrusted.get(place)

    def started(self, loading: Any) -> None:
        """Take a replica that has loaded, or the reason why it has not.

        Raises:
            InputError: what it was asked to load cannot be had, and none has loaded it.
            ReplicaError: one after the other could not start.
        """
        actor = self.starting.pop(loading)
        try:
            loaded: Loaded = ray.get(loading)
        except RayError as error:
            ray.kill(actor)
            self._require_hope(cause_of(error))
        else:
            self._has_loaded, self._num_dead_at_start, self._without_since = True, 0, None
            place = Place(actor._actor_id.hex(), loaded.node, loaded.device)
            self._answers.add(place, loaded.answers)
            self._keep(Ready(actor, place))
            self._sort_out()

    def notice_draining(self) -> None:
        """Replicas on nodes that are about to be taken get nothing new; what they make may still be finished."""
        draining = self._draining.ids
        self._empty(draining)
        leaving = [place for place in self.busy if place.node in draining] if draining else []
        for place in leaving:
            if place not in self._leaving:
                self._leaving.add(place)
                self.events.append((place, Leaving()))

    def require_replicas(self) -> None:
        """Wait for a first replica for a while, but not for ever.

        Raises:
            ReplicaError: there is none, and there has been none for long.
        """
        if self.busy or self.idle or not self.starting:
            self._without_since = None
            return
        if self._without_since is None:
            self._without_since = monotonic()
        if monotonic() - self._without_since > START_TIMEOUT_S:
            held = "".join(f" {place.replica[:12]} gets no work: {self.distrust(place)}." for place in self._held)
            raise ReplicaError(
                f"no replica could start within {START_TIMEOUT_S} s: the cluster has {ray.cluster_resources()}.{held} "
                "Add nodes, or ask for others (--device, --devices-per-replica, --accelerator)."
            )

    def kill(self) -> None:
        ready = (*self.idle, *self._held.values(), *self.busy.values(), *self._retiring.values())
        for actor in (*self.starting.values(), *(replica.actor for replica in ready)):
            ray.kill(actor)

    @property
    def _unit(self) -> str:
        return "GPU" if self._worker.device == "cuda" else "CPU"

    def _is_usable(self, node: dict[str, Any]) -> bool:
        if not node["Alive"] or node["NodeID"] in self._blocked | self._draining.ids:
            return False
        accelerator = node["Labels"].get(ACCELERATOR_LABEL)
        has_room = node["Resources"].get(self._unit, 0) >= self._worker.num_devices
        return has_room and (not self._accelerators or accelerator in self._accelerators)

    def _start(self) -> None:
        needs: dict[str, Any] = {f"num_{self._unit.lower()}s": self._worker.num_devices}
        labels = {}
        if self._blocked:
            labels["ray.io/node-id"] = f"!in({','.join(sorted(self._blocked))})"
        if self._accelerators:
            labels[ACCELERATOR_LABEL] = f"in({','.join(self._accelerators)})"
        remote: Any = ray.remote  # its annotations know neither of the ways in which groups can be given
        actor = remote(concurrency_groups={FRAMES: 1})(self._kind)
        actor = actor.options(max_restarts=0, max_task_retries=0, label_selector=labels or None, **needs)
        actor = actor.remote(self._worker)
        self.starting[actor.load.remote()] = actor

    def _keep(self, replica: Ready) -> None:
        """It is idle, unless nothing more of it is wanted."""
        if self.distrust(replica.place) is not None:
            self._hold(replica)
        elif replica.place.node in self._blocked | self._draining.ids or replica.place in self._leaving:
            self._retire(replica)
        else:
            self.idle.append(replace(replica, since=monotonic()))

    def _retire(self, replica: Ready) -> None:
        if self._writing[replica.place]:
            self._retiring[replica.place] = replica
        else:
            ray.kill(replica.actor)

    def _hold(self, replica: Ready) -> None:
        """Alive but without work it keeps its card from being given to another replica."""
        self._held[replica.place] = replica
        self.events.append((replica.place, Held(self.distrust(replica.place) or "")))

    def _sort_out(self) -> None:
        """A new answer may show that others are wrong, or are right after all."""
        for replica in [replica for replica in self.idle if self.distrust(replica.place) is not None]:
            self.idle.remove(replica)
            self._hold(replica)
        for place in [place for place in self._held if self.distrust(place) is None]:
            self._keep(self._held.pop(place))

    def _empty(self, nodes: Container[str]) -> None:
        for replica in [replica for replica in self.idle if replica.place.node in nodes]:
            self.idle.remove(replica)
            self._retire(replica)

    def _require_hope(self, cause: Exception) -> None:
        """Let replicas die at their start, with a pause, while others work; else some, and more with their nodes.

        What one could load is no bad input: the node of another lacks it, until somebody brings it there.
        """
        if isinstance(cause, InputError):
            if not self._has_loaded:
                raise cause
            self._warn_once(f"a replica could not start: {cause}")
        self._num_dead_at_start += not went_with_its_node(cause)
        self._start_again_at = monotonic() + min(MAX_PAUSE_S, 2.0**self._num_dead_at_start)
        if self._num_dead_at_start >= MAX_DEAD_AT_START and not self.busy and not self.idle:
            raise ReplicaError(f"{self._num_dead_at_start} replicas in a row could not start: {cause}") from cause

    def _warn_once(self, words: str) -> None:
        if words not in self._warned:
            self._warned.add(words)
            logger.warning(words)


def cause_of(error: Exception) -> Exception:
    """What was raised in the replica, or what Ray has to say of its end."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


def went_with_its_node(error: Exception) -> bool:
    """What Ray itself says; of a node that is drained it says so, of one that is gone in words alone."""
    if isinstance(error, RayActorError) and error.preempted:
        return True
    return isinstance(error, ActorUnavailableError) or "node has died" in str(error)


def is_alive(node_id: str) -> bool:
    return any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id)
