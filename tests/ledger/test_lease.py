"""The lease on a bucket: held, released, left to run out, lost. Lives are short where waiting is what is tested."""

import itertools
import json
import time

import pytest

from tests.ledger.faulty_s3 import FakeBucket, FakeClient, Fault, Way, etag, no_faults
from ursa_ray.errors import LeaseError, LedgerError, OptionError
from ursa_ray.ledger.bucket import Bucket
from ursa_ray.ledger.lease import Lease
from ursa_ray.ledger.s3 import S3Store

NAME = "run/LEASE"


@pytest.fixture
def place():
    return FakeBucket()


def store(place, life_s, faults=None, client=FakeClient):
    way = Way(no_faults() if faults is None else faults)
    return S3Store("s3://bucket/run", life_s, (0.0,) * 6, client(place, way), client(place, Way(no_faults())))


def told(place):
    return json.loads(place.contents[NAME])


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lease_that_is_renewed_keeps_others_out_who_learn_of_whom(place):
    # A life long enough that a busy machine does not miss a renewal, which is after a third of it.
    with (
        store(place, 3.0).lease("process 7 on host"),
        pytest.raises(LeaseError, match=r"^s3://bucket/run: another render works on this run \(process 7 on host\)"),
        store(place, 3.0).lease("me"),
    ):
        pass


def test_a_released_lease_is_free_at_once(place):
    # Had anybody to wait for the end of this life, the test would run out of its time.
    for holder in ("first", "second"):
        with store(place, 1000.0).lease(holder):
            assert told(place)["holder"] == holder
    assert told(place)["holder"] == ""


def test_a_lease_is_released_by_an_error_too(place):
    with pytest.raises(KeyboardInterrupt), store(place, 1000.0).lease("me"):
        raise KeyboardInterrupt
    assert told(place)["holder"] == ""


def test_a_lease_that_nobody_renews_is_taken_after_one_of_its_lives_and_not_before(place):
    place.put(NAME, b'{"holder": "dead", "nonce": "1", "life_s": 0.4}')
    began = time.monotonic()
    with store(place, 1000.0).lease("me"):
        assert time.monotonic() - began >= 0.4
        assert told(place)["holder"] == "me"


def test_a_damaged_lease_runs_out_as_any_other(place):
    place.put(NAME, b"\xff")
    with store(place, 0.2).lease("me"):
        assert told(place)["holder"] == "me"


def test_every_renewal_has_another_etag(place):
    with store(place, 0.06).lease("me"):
        seen = set()

        def have_seen_four():
            seen.add(etag(place.contents[NAME]))
            return len(seen) >= 4

        wait_until(have_seen_four)


class Late(FakeClient):
    """Somebody else takes the lease between the last look at it and the put that takes it over."""

    def put_object(self, **what):
        if what.get("IfMatch"):
            self.bucket.put(NAME, b'{"holder": "faster", "nonce": "2", "life_s": 1000}')
        return super().put_object(**what)


def test_of_two_who_have_waited_one_gets_the_lease(place):
    place.put(NAME, b'{"holder": "dead", "nonce": "1", "life_s": 0.1}')
    with pytest.raises(LeaseError, match=r"\(faster\)"), store(place, 1000.0, client=Late).lease("me"):
        pass
    assert told(place)["holder"] == "faster"


def test_a_render_that_finds_its_lease_taken_can_create_nothing_more_and_leaves_it_alone(place):
    mine = store(place, 0.06)
    with mine.lease("me"):
        mine.create("log/0", b"mine")
        taken = b'{"holder": "other", "nonce": "1", "life_s": 1000}'
        place.put(NAME, taken)

        def is_refused():
            try:
                mine.create(f"log/{time.monotonic_ns()}", b"mine")
            except LeaseError:
                return True
            return False

        wait_until(is_refused)
    assert place.contents[NAME] == taken


def test_a_renewal_of_which_nothing_is_heard_is_found_by_the_next(place):
    # Two requests to take the lease; the renewal's reply is lost, and so is every look at what became of it.
    faults = itertools.chain([None] * 2, [Fault.LOST_REPLY] * 7, no_faults())
    lease = Lease(Bucket("bucket", FakeClient(place, Way(faults)), (0.0,) * 6), NAME, "s3://bucket/run", 0.06)
    with lease.held("me"):
        wait_until(lambda: place.num_writes[NAME] >= 4)
        assert not lease.is_lost


def test_a_renewal_that_failed_is_tried_again_soon_and_the_next_is_after_a_third_of_the_life(place):
    faults = itertools.chain([None] * 2, [Fault.CONFLICT] * 6, no_faults())
    lease = Lease(Bucket("bucket", FakeClient(place, Way(faults)), (0.0,) * 6), NAME, "s3://bucket/run", 30.0)
    waits_s = []

    def wait(wait_s):
        waits_s.append(wait_s)
        return len(waits_s) > 3

    lease._over.wait = wait
    with lease.held("me"):
        wait_until(lambda: len(waits_s) == 4)
    assert waits_s == [10.0, 1.0, 10.0, 10.0]


class Careless(FakeClient):
    """A store that knows no conditions."""

    ignored = ("IfNoneMatch", "IfMatch")

    def put_object(self, **what):
        return super().put_object(**{name: value for name, value in what.items() if name not in self.ignored})


class OverwritesWhatIsThere(Careless):
    ignored = ("IfNoneMatch",)


class OverwritesWhatHasChanged(Careless):
    ignored = ("IfMatch",)


@pytest.mark.parametrize("client", [Careless, OverwritesWhatIsThere, OverwritesWhatHasChanged])
def test_a_store_that_ignores_conditions_is_refused(place, client):
    with (
        pytest.raises(LedgerError, match=r"^s3://bucket/run: this store ignores the conditions of puts"),
        store(place, 1000.0, client=client).lease("me"),
    ):
        pass


def test_a_store_that_does_not_answer_is_named(place):
    faults = itertools.repeat(Fault.LOST_REQUEST)
    with (
        pytest.raises(
            OptionError,
            match=r"^s3://bucket/run/LEASE: cannot be written \(no answer after 6 tries\)\. .*another --run",
        ),
        store(place, 1000.0, faults).lease("me"),
    ):
        pass
