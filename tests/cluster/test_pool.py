"""When replicas are asked for, let go, kept from work or given up on; Ray itself is played here."""

from dataclasses import dataclass, field
from itertools import count

import pytest
from ray.exceptions import RayTaskError

from ursa_ray.cluster import pool as module
from ursa_ray.cluster.pool import Pool
from ursa_ray.cluster.replica import Loaded
from ursa_ray.errors import CheckpointError, ReplicaError
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import Held, Leaving
from ursa_ray.schedule import Demand, Limits


class Actor:
    """Its class, its handle and its reference in one; `needs` are the options that it was asked for with."""

    def __init__(self, name):
        self.name, self.needs = name, {}
        self._actor_id = self.load = self

    def hex(self):
        return self.name

    def options(self, **needs):
        self.needs = needs
        return self

    def remote(self, *arguments):
        return self


@dataclass
class PlayedRay:
    """`answers` are what a starting replica has to say, oldest first; a hash is an answer to the known segment."""

    now_s: float = 0.0
    answers: list = field(default_factory=list)
    killed: list = field(default_factory=list)
    made: list = field(default_factory=list)
    all_nodes: list = field(default_factory=list)
    ids: frozenset = frozenset()
    numbers: count = field(default_factory=count)

    def remote(self, **options):
        def make(kind):
            self.made.append(Actor(f"a{next(self.numbers)}"))
            return self.made[-1]

        return make

    def kill(self, actor):
        self.killed.append(actor.name)

    def get(self, actor):
        answer = self.answers.pop(0) if self.answers else "x"
        if isinstance(answer, Exception):
            raise answer
        return Loaded(f"node of {actor.name}", "kind", (answer, answer))

    def nodes(self):
        return self.all_nodes

    def cluster_resources(self):
        return {}


@pytest.fixture
def ray(monkeypatch):
    played = PlayedRay()
    monkeypatch.setattr(module, "ray", played)
    monkeypatch.setattr(module, "monotonic", lambda: played.now_s)
    monkeypatch.setattr(module, "DrainingNodes", lambda: played)
    return played


def pool_of(floor=0, ceiling=None, device="cpu", accelerators=()):
    return Pool(WorkerOptions("tiny", "", "", device), Limits(floor, ceiling), accelerators, object)


def start(pool, num=1):
    for actor in list(pool.starting)[:num]:
        pool.started(actor)


def broken():
    return RayTaskError("load", "traceback", RuntimeError("CUDA is broken"))


def test_replicas_are_asked_for_as_work_comes_and_let_go_as_it_ends(ray):
    pool = pool_of(ceiling=3)
    pool.scale(Demand(5, 5))
    assert len(pool.starting) == 3
    start(pool, 3)
    pool.scale(Demand(1, 2))
    assert (len(pool.idle), len(ray.killed)) == (2, 1)
    ray.now_s = 60
    pool.scale(Demand(1, 2))
    assert len(pool.idle) == 1


def test_of_those_that_are_starting_the_last_is_called_off_first(ray):
    pool = pool_of()
    pool.scale(Demand(3, 3))
    pool.scale(Demand(1, 3))
    assert ray.killed == ["a2", "a1"]


def test_the_wait_for_a_first_replica_begins_anew_when_all_are_lost(ray):
    pool = pool_of()
    pool.scale(Demand(1, 1))
    pool.require_replicas()
    ray.now_s = 10
    start(pool)
    place = pool.take().place
    ray.now_s = 4000
    pool.let_go(place)
    pool.scale(Demand(1, 1))
    pool.require_replicas()
    ray.now_s = 5799
    pool.require_replicas()
    ray.now_s = 5801
    with pytest.raises(ReplicaError, match="no replica could start within 1800 s"):
        pool.require_replicas()


def test_three_starts_in_a_row_that_fail_end_a_render_in_which_nobody_works(ray):
    pool = pool_of()
    ray.answers = [broken(), broken(), broken()]
    for _ in range(2):
        pool.scale(Demand(1, 1))
        start(pool)
        ray.now_s += 60
    pool.scale(Demand(1, 1))
    with pytest.raises(ReplicaError, match="3 replicas in a row could not start: CUDA is broken"):
        start(pool)


def test_while_others_work_starts_that_fail_only_come_less_often(ray):
    pool = pool_of()
    pool.scale(Demand(2, 2))
    start(pool)
    pool.take()
    ray.answers = [broken() for _ in range(10)]
    for _ in range(10):
        start(pool)
        pool.scale(Demand(2, 2))
        assert not pool.starting
        ray.now_s += 60
        pool.scale(Demand(2, 2))
        assert len(pool.starting) == 1


def lacking():
    return RayTaskError("load", "traceback", CheckpointError("model 'x' is not on host b. Fetch it there."))


def test_what_no_replica_can_load_ends_a_render_at_once(ray):
    pool = pool_of()
    ray.answers = [lacking()]
    pool.scale(Demand(2, 2))
    with pytest.raises(CheckpointError, match="not on host b"):
        start(pool)


def test_a_replica_that_lacks_what_another_has_loaded_is_told_once_and_tried_less_and_less_often(ray, caplog):
    pool = pool_of()
    pool.scale(Demand(2, 2))
    start(pool)
    pool.take()
    ray.answers = [lacking(), lacking(), lacking(), lacking()]
    for _ in range(4):
        start(pool)
        pool.scale(Demand(2, 2))
        assert not pool.starting
        ray.now_s += 60
        pool.scale(Demand(2, 2))
    start(pool)
    assert [replica.place.replica for replica in pool.idle] == [ray.made[-1].name]
    told = "a replica could not start: model 'x' is not on host b. Fetch it there."
    assert [record.getMessage() for record in caplog.records] == [told]


def test_a_wrong_replica_is_kept_from_work_and_alive(ray):
    pool = pool_of()
    ray.answers = ["x", "x", "y"]
    pool.scale(Demand(3, 3))
    start(pool, 3)
    assert [replica.place.replica for replica in pool.idle] == ["a0", "a1"]
    ((place, event),) = pool.events
    assert (place.replica, event) == ("a2", Held("its kind answers otherwise than the others"))
    assert ray.killed == []


def test_a_right_replica_that_was_held_works_once_others_answer_like_it(ray):
    pool = pool_of()
    ray.answers = ["x", "y", "y"]
    pool.scale(Demand(3, 3))
    start(pool, 2)
    assert [replica.place.replica for replica in pool.idle] == ["a0"]
    start(pool)
    assert sorted(replica.place.replica for replica in pool.idle) == ["a1", "a2"]


def test_a_replica_on_a_node_that_is_about_to_be_taken_gets_nothing_new_and_is_replaced(ray):
    pool = pool_of()
    pool.scale(Demand(2, 2))
    start(pool, 2)
    place = pool.take().place
    ray.ids = frozenset({"node of a0", "node of a1"})
    pool.notice_draining()
    assert (pool.idle, list(pool.events)) == ([], [(place, Leaving())])
    pool.scale(Demand(2, 2))
    assert len(pool.starting) == 2
    pool.give_back(place)
    assert pool.idle == []


def test_a_replica_that_has_loaded_on_such_a_node_gets_no_work(ray):
    pool = pool_of()
    pool.scale(Demand(1, 1))
    ray.ids = frozenset({"node of a0"})
    start(pool)
    assert (pool.idle, ray.killed) == ([], ["a0"])


def test_blocked_nodes_and_other_gpus_are_not_asked_for_and_do_not_count(ray):
    pool = pool_of(device="cuda", accelerators=("H100",))
    ray.all_nodes = [
        {"Alive": True, "NodeID": name, "Resources": {"GPU": 1}, "Labels": {"ray.io/accelerator-type": kind}}
        for name, kind in [("a", "H100"), ("b", "T4"), ("c", "H100"), ("d", "H100")]
    ]
    assert pool.num_nodes == 3
    pool.block("a")
    ray.ids = frozenset({"c"})
    assert pool.num_nodes == 1
    pool.scale(Demand(1, 1))
    assert ray.made[-1].needs["num_gpus"] == 1
    assert ray.made[-1].needs["label_selector"] == {"ray.io/node-id": "!in(a)", "ray.io/accelerator-type": "in(H100)"}


def test_a_replica_that_is_let_go_in_order_first_writes_its_frames(ray):
    pool = pool_of()
    pool.scale(Demand(2, 2))
    start(pool, 2)
    writing, resting = pool.take().place, pool.take().place
    for _ in range(2):
        pool.writes(writing)
    pool.give_back(writing)
    pool.give_back(resting)
    pool.scale(Demand(0, 0))
    assert (pool.idle, ray.killed) == ([], [resting.replica])
    pool.has_written(writing)
    assert ray.killed == [resting.replica]
    pool.has_written(writing)
    assert ray.killed == [resting.replica, writing.replica]


def test_so_does_one_whose_node_is_about_to_be_taken_but_a_broken_one_does_not(ray):
    pool = pool_of()
    pool.scale(Demand(2, 2))
    start(pool, 2)
    leaving, broken = pool.take().place, pool.take().place
    for place in (leaving, broken):
        pool.writes(place)
    pool.give_back(leaving)
    ray.ids = frozenset({leaving.node})
    pool.notice_draining()
    pool.let_go(broken)
    assert (pool.idle, ray.killed) == ([], [broken.replica])
    pool.has_written(broken)
    pool.has_written(leaving)
    assert ray.killed == [broken.replica, leaving.replica]


def test_one_whose_frames_do_not_come_does_not_hold_its_device_for_ever(ray):
    pool = pool_of()
    pool.scale(Demand(1, 1))
    start(pool)
    place = pool.take().place
    pool.writes(place)
    pool.give_back(place)
    pool.scale(Demand(0, 0))
    assert ray.killed == []
    pool.let_go(place)
    assert ray.killed == [place.replica]
    pool.has_written(place)
    assert ray.killed == [place.replica]


@pytest.mark.parametrize(("device", "unit"), [("cuda", "GPU"), ("cpu", "CPU")])
def test_a_replica_with_several_devices_asks_for_them_on_one_node(ray, device, unit):
    ray.all_nodes = [
        {"Alive": True, "NodeID": str(number), "Labels": {}, "Resources": {unit: number}} for number in (1, 2, 3)
    ]
    pool = Pool(WorkerOptions("tiny", "", "", device, num_devices=2), Limits(), (), object)
    pool.scale(Demand(1, 1))
    assert ray.made[0].needs[f"num_{unit.lower()}s"] == 2
    assert pool.num_nodes == 2
