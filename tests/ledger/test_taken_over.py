"""Two drivers on one run: one is stopped past its lease, or overtaken in full swing, and must end; 200 times."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.ledger import appending
from ursa_ray.errors import LeaseError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger.bucket import connect
from ursa_ray.ledger.log import Log

pytestmark = pytest.mark.crash

# A driver that waits for another on a busy machine.
LIMIT_S = 60


@dataclass(frozen=True)
class Place:
    url: str
    address: str = ""
    client: Any = None

    def store(self, name, is_locked):
        return appending.store_at(f"{self.url}/{name}", is_locked, self.client)


@pytest.fixture(scope="session")
def processes():
    """Starts processes from one that has all imported; they cost 10 ms instead of 1 s."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.ledger.appending"])
    return context


@pytest.fixture
def folder(tmp_path):
    return Place(str(tmp_path))


@pytest.fixture
def s3(bucket, s3_address):
    return Place(bucket, s3_address, connect(1, 10.0))


def taken(condition, otherwise):
    deadline = time.monotonic() + LIMIT_S
    while (found := condition()) is None:
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.001)
    return found


def begun(store):
    """The run with a new epoch and its lease; None if the other got in between, as a last request of it may."""
    run = Run(store)
    context = run.locked()
    try:
        context.__enter__()
    except LeaseError:
        return None
    return run, context


def overtake(place, name, processes, journal, draw, is_stopped):
    Run.create(f"{place.url}/{name}")
    first = processes.Process(target=appending.append, args=(f"{place.url}/{name}", str(journal), place.address))
    first.start()
    try:
        taken(lambda: True if journal.exists() and journal.stat().st_size else None, "the first commits nothing")
        time.sleep(draw.uniform(0, 0.02))
        if is_stopped:
            os.kill(first.pid, signal.SIGSTOP)
        # A folder's lock is held by a stopped process too: the other has come over a file system without locks.
        is_locked = is_stopped and place.client is not None
        run, context = taken(lambda: begun(place.store(name, is_locked)), "the second never gets the run")
        run.commit(Commit("film", "second/0"))
        if is_stopped:
            os.kill(first.pid, signal.SIGCONT)
        first.join(LIMIT_S)
        run.commit(Commit("film", "second/1"))
        context.__exit__(None, None, None)
        return first.exitcode
    finally:
        first.kill()
        first.join()


def check(place, name, journal):
    """Nothing is there twice, all that was committed is there, and the first wrote nothing after it was overtaken."""
    keys = [commit.key for commit in Log(place.store(name, True)).read_new().commits]
    assert len(set(keys)) == len(keys)
    assert set(journal.read_text().split()) <= set(keys)
    assert keys[-2:] == ["second/0", "second/1"]
    assert [key.startswith("process ") for key in keys].count(True) == 2
    assert keys[-3].startswith(f"process {os.getpid()} ")


# A case takes 0.1 s in a folder, and several times that in a bucket, where the default is 40 of the 100.
BATCHES = [
    pytest.param(kind, batch, marks=pytest.mark.slow if kind == "s3" and batch > 1 else ())
    for kind in ("folder", "s3")
    for batch in range(5)
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "racing"])
@pytest.mark.parametrize(("kind", "batch"), BATCHES)
def test_a_driver_that_was_overtaken_ends_and_nothing_is_committed_twice(
    kind, is_stopped, batch, processes, request, tmp_path
):
    place = request.getfixturevalue(kind)
    draw = random.Random(f"{kind} {is_stopped} {batch}")
    for number in range(10):
        journal = tmp_path / f"journal-{number}"
        exit_code = overtake(place, f"run-{number}", processes, journal, draw, is_stopped)
        assert exit_code == 7
        check(place, f"run-{number}", journal)
