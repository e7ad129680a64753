"""How long an attempt may take, from what its peers took."""

from statistics import median
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from ursa_ray.schedule.stragglers import Pace


def pace_of(seconds):
    pace = Pace()
    for taken in seconds:
        pace.add("H200", taken, 1.0)
    return pace


@given(st.lists(st.integers(1, 1000), min_size=3, max_size=20))
def test_an_attempt_may_take_twice_the_median_of_its_peers_and_ten_seconds(seconds):
    assert pace_of(seconds).limit_s("H200", 3.0) == 2 * 3 * median(seconds) + 10


def test_what_has_finished_does_not_slow_the_look_at_what_runs():
    pace = pace_of(range(1, 50_001))
    began = process_time()
    for _ in range(1000):
        pace.limit_s("H200", 1.0)
    assert process_time() - began < 0.1  # 1 ms; with a sort for each it was several hundred
