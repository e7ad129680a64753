"""Appending to a log in a bucket whatever becomes of requests and replies: 500 schedules on a fake, some on moto."""

import itertools
import random
from dataclasses import dataclass, field

import pytest

from tests.ledger.faulty_s3 import FakeBucket, FakeClient, Fault, FaultyClient, Way, no_faults, random_faults, shareable
from ursa_ray.errors import LeaseError, LedgerError
from ursa_ray.ledger import Commit
from ursa_ray.ledger.bucket import connect
from ursa_ray.ledger.log import Log
from ursa_ray.ledger.s3 import S3Store

NUM_TRIES = 6
NUM_SCHEDULES = 500
NUM_ON_MOTO = 40


class Fake:
    """A new bucket, and stores on it whose requests go by a given way."""

    def __init__(self):
        self.bucket = FakeBucket()

    def store(self, way):
        return S3Store(
            "s3://bucket/run",
            pauses_s=(0.0,) * NUM_TRIES,
            entries=FakeClient(self.bucket, way),
            files=FakeClient(self.bucket, Way(no_faults())),
        )


class Moto:
    def __init__(self, url, shared, files):
        self.url, self.shared, self.files = url, shared, files

    def store(self, way):
        entries = FaultyClient(self.shared, way)
        return S3Store(self.url, pauses_s=(0.0,) * NUM_TRIES, entries=entries, files=self.files)


@dataclass
class Driver:
    """Appends under its own name, and keeps what it believes to have committed: numbers and keys."""

    name: str
    log: Log
    way: Way
    committed: dict[int, str] = field(default_factory=dict)
    errors: list[LedgerError] = field(default_factory=list)
    keys: itertools.count = field(default_factory=itertools.count)

    def begin(self):
        self._note(self._take_over, self.name)

    def append(self):
        key = f"{self.name}/{next(self.keys)}"
        self._note(lambda: self.log.append(Commit("film", key)), key)

    def _take_over(self):
        self.log.read_new()
        self.log.begin_epoch(self.name)

    def _note(self, append, key):
        try:
            append()
        except LedgerError as error:
            self.errors.append(error)
        else:
            self.committed[self.log.head.num_entries - 1] = key


def limited(faults, at_most):
    """As many faults in a row of requests as a put survives, then a request without; over again."""
    while True:
        yield from itertools.islice(faults, at_most)
        yield from [None] * 2


def entries_of(place):
    """As a faultless reader finds them; a log that is not a whole chain raises."""
    return [commit.key for commit in Log(place.store(Way(no_faults()))).read_new().commits]


def check(place, drivers):
    for driver in drivers:
        driver.way.settle()
    keys = entries_of(place)
    assert len(set(keys)) == len(keys)
    for driver in drivers:
        assert {number: keys[number] for number in driver.committed} == driver.committed
    holder = None
    for key in keys:
        name, _, entry = key.partition("/")
        holder = holder if entry else name
        assert name == holder, f"{key} was committed although {holder} had taken over"
    return keys


def compete(place, seed, num_turns):
    """Drivers take turns at random, also in the middle of each other's requests; now and then one takes over."""
    draw = random.Random(seed)
    share = draw.choice([0.1, 0.4, 0.7])
    names, drivers, busy, turns = itertools.count(), [], [], iter(range(num_turns))

    def act():
        begun = [driver for driver in drivers if driver.name in driver.committed.values()]
        idle = [driver for driver in begun[-3:] if driver not in busy]
        if not idle or draw.random() < 0.15:
            way = Way(interrupted(random_faults(draw, share)))
            driver = Driver(f"driver {next(names)}", Log(place.store(way)), way)
            drivers.append(driver)
            turn = driver.begin
        else:
            driver = draw.choice(idle)
            turn = driver.append
        busy.append(driver)
        turn()
        busy.remove(driver)

    def interrupted(faults):
        for fault in faults:
            if len(busy) < 3 and draw.random() < 0.1 and next(turns, None) is not None:
                act()
            yield fault

    for _ in turns:
        act()
    return drivers


def alone(place, seed, num_turns):
    way = Way(limited(random_faults(random.Random(seed), 0.6), NUM_TRIES - 1))
    driver = Driver("alone", Log(place.store(way)), way)
    driver.begin()
    for _ in range(num_turns):
        driver.append()
    return driver


@pytest.mark.parametrize("first", range(0, NUM_SCHEDULES // 2, 25))
def test_a_lone_driver_is_not_stopped_by_fewer_faults_than_tries(first):
    for seed in range(first, first + 25):
        place = Fake()
        driver = alone(place, seed, num_turns=5)
        assert driver.errors == [], seed
        assert check(place, [driver]) == ["alone", *(f"alone/{number}" for number in range(5))]
        assert set(place.bucket.num_writes.values()) == {1}


@pytest.mark.parametrize("first", range(0, NUM_SCHEDULES // 2, 25))
def test_of_competing_drivers_no_two_commit_the_same_number_and_all_that_is_committed_is_there_once(first):
    num_committed, errors = 0, []
    for seed in range(first, first + 25):
        place = Fake()
        drivers = compete(place, seed, num_turns=12)
        num_committed += len(check(place, drivers))
        errors += [error for driver in drivers for error in driver.errors]
        assert set(place.bucket.num_writes.values()) <= {1}, seed
    # Schedules in which nothing happens would prove nothing.
    assert num_committed > 60
    assert sum(isinstance(error, LeaseError) for error in errors) > 10


@pytest.mark.parametrize("first", range(0, NUM_ON_MOTO, NUM_ON_MOTO // 8))
def test_the_same_holds_on_moto(bucket, first):
    shared, files = shareable(connect(1, 10.0)), connect(1, 10.0)
    for seed in range(first, first + NUM_ON_MOTO // 8):
        place = Moto(f"{bucket}/alone-{seed}", shared, files)
        assert alone(place, seed, num_turns=4).errors == [], seed
        place = Moto(f"{bucket}/compete-{seed}", shared, files)
        check(place, compete(place, seed, num_turns=6))


@pytest.mark.parametrize("fault", Fault)
def test_an_append_survives_every_single_fault(fault):
    place = Fake()
    way = Way(itertools.chain([fault], no_faults()))
    driver = Driver("one", Log(place.store(way)), way)
    driver.append()
    driver.append()
    assert way.num_met[fault] == 1
    assert entries_of(place) == ["one/0", "one/1"]


@pytest.mark.parametrize("fault", Fault)
def test_an_append_that_gets_no_answer_at_all_fails_and_is_there_once_or_not(fault):
    place = Fake()
    way = Way(itertools.repeat(fault))
    driver = Driver("one", Log(place.store(way)), way)
    driver.append()
    (error,) = driver.errors
    assert "cannot be written (no answer after 6 tries). What is committed is safe" in str(error)
    way.settle()
    assert entries_of(place) in ([], ["one/0"])


def test_faults_of_every_kind_are_met():
    met = set()
    for seed in range(10):
        met |= set(alone(Fake(), seed, num_turns=5).way.num_met)
    assert met == {None, *Fault}
