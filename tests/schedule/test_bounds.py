"""Bounds against the shortest of all schedules."""

from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule.forests import forests, jobs_of
from ursa_ray.schedule import Device, Fleet, Job, simulate
from ursa_ray.schedule.bounds import least_makespan, least_replicas, work_left


def whole(jobs, num):
    """For jobs of one second each, in whole ones."""
    return max(time + -(-work // num) for time, work in work_left(jobs))


def shortest(parents, num):
    """By trying everything that jobs of one second can do on so many replicas."""

    @cache
    def rest(done):
        ready = [n for n, parent in enumerate(parents) if n not in done and (parent is None or parent in done)]
        if not ready:
            return 0
        return 1 + min(rest(done | {*now}) for now in combinations(ready, min(num, len(ready))))

    return rest(frozenset())


def test_a_chain_that_forks_late_leaves_its_leaves_for_the_end():
    # Five in a row, then ten side by side: 5 s, and 10 / 5 = 2 s more.
    jobs = [Job(str(n), str(n - 1) if n else None, 0, 1) for n in range(5)]
    jobs += [Job(f"leaf {n}", "4", 0, 1) for n in range(10)]
    assert least_makespan(jobs, 5) == 7
    assert least_replicas(jobs, 7) == 5
    assert least_replicas(jobs, 6.9) == 6
    assert least_replicas(jobs, 5.9) is None


def test_nothing_takes_no_time():
    assert (least_makespan([], 3), least_replicas([], 1)) == (0, 0)


@settings(deadline=None, max_examples=200)
@given(forests(max_size=8), st.integers(1, 4))
def test_for_jobs_of_one_length_the_bound_is_the_best_of_all_schedules(parents, num):
    assert whole(jobs_of(parents), num) == shortest(parents, num)


@settings(deadline=None, max_examples=200)
@given(forests(max_size=9), st.integers(1, 4))
def test_longest_chain_first_is_the_best_of_all_schedules_for_jobs_of_one_length(parents, num):
    simulated = simulate(jobs_of(parents), Fleet((Device("gpu", 1),) * num, startup_s=0, floor=num))
    assert simulated.makespan_s == pytest.approx(whole(jobs_of(parents), num))
