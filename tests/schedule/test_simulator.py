"""Renders in virtual time, against what one computes by hand and what no schedule can beat."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule.forests import forests, jobs_of
from ursa_ray.schedule import Device, Dice, Fleet, Job, Luck, simulate
from ursa_ray.schedule.bounds import least_makespan

GPU = Device("H200", speed=2.0, price_per_h=36.0)  # a job of cost 20 takes 10 s; a second costs 0.01


def chains(*lengths, cost=20):
    """Jobs "00", "01", ... of the first chain, "10", ... of the second, 10 s each on a GPU."""
    return [
        Job(f"{chain}{n}", f"{chain}{n - 1}" if n else None, cost * (length - n), cost)
        for chain, length in enumerate(lengths)
        for n in range(length)
    ]


def fleet(num, **options):
    return Fleet((GPU,) * num, **{"startup_s": 5.0, "floor": num} | options)


def finished(simulated):
    return sorted(span.key for span in simulated.spans if span.is_done)


class Given(Luck):
    """Luck that is given: by replica, by (job, replica), by (job, attempt)."""

    def __init__(self, lifetimes_s=(), slow=(), crashes=()):
        self.lifetimes_s, self.slow, self.crashes = dict(lifetimes_s), dict(slow), dict(crashes)

    def lifetime_s(self, replica):
        return self.lifetimes_s.get(replica, math.inf)

    def slowness(self, key, replica):
        return self.slow.get((key, replica), 1.0)

    def crashes_at(self, key, attempt):
        return self.crashes.get((key, attempt))


def test_one_replica_makes_all_one_after_the_other():
    simulated = simulate(chains(2, 3), fleet(1))
    assert simulated.makespan_s == 5 + 50
    assert (simulated.gpu_s, simulated.busy_s) == (55, 50)
    assert simulated.cost == pytest.approx(0.55)
    assert simulated.busy_share == pytest.approx(50 / 55)
    assert [span.key for span in simulated.spans] == ["10", "00", "11", "01", "12"]  # the longest chain first


def test_two_replicas_make_two_chains_side_by_side_and_the_one_that_is_done_goes():
    simulated = simulate(chains(2, 3), fleet(2))
    assert simulated.makespan_s == 5 + 30
    assert simulated.gpu_s == 25 + 35
    assert (simulated.num_lost, simulated.num_again, simulated.given_up) == (0, 0, {})


def test_more_replicas_than_chains_are_not_had():
    assert simulate(chains(2, 3), fleet(9)).gpu_s == 25 + 35


def test_the_first_devices_are_taken_first_and_each_has_its_speed():
    slow = Device("L40S", speed=1.0)
    two = Fleet((slow, GPU), startup_s=0.0)
    assert simulate(chains(2), two).makespan_s == 40  # one chain, one replica, on the slow one
    # Who is ready first takes the longest chain, quick or slow: 3 jobs in 60 s, beside 2 in 20 s.
    assert simulate(chains(2, 3), two).makespan_s == 60
    assert simulate(chains(2, 3), Fleet((GPU, slow), startup_s=0.0)).makespan_s == 40


def test_replicas_that_only_a_fork_needs_start_with_it_unless_they_are_kept_ready():
    fork = [Job("a", None, 40, 20), Job("b", "a", 20, 20), Job("c", "a", 20, 20)]
    assert simulate(fork, fleet(2)).makespan_s == 5 + 20
    assert simulate(fork, fleet(2, floor=0)).makespan_s == 5 + 10 + 5 + 10


def test_a_lost_replica_costs_its_start_and_the_step_that_it_was_at():
    # After 17 of 20 s it has 1.2 of 2 jobs, in steps of 2 s: 1 of 5 is saved, so 8 s are left after the new start.
    simulated = simulate(chains(2), fleet(1, num_steps=5), Given(lifetimes_s={0: 5 + 10 + 3}))
    assert simulated.makespan_s == 18 + 5 + 8
    assert simulated.gpu_s == 18 + 13
    assert (simulated.num_lost, simulated.num_again) == (1, 1)
    assert finished(simulated) == ["00", "01"]


def test_a_replica_that_is_lost_as_it_starts_is_replaced():
    assert simulate(chains(1), fleet(1), Given(lifetimes_s={0: 3})).makespan_s == 3 + 5 + 10


def test_a_replica_that_is_told_in_time_finishes_what_it_makes_and_gets_nothing_new():
    simulated = simulate(chains(2), fleet(1, notice_s=8), Given(lifetimes_s={0: 5 + 12}))
    # Told at 9 s; its job ends at 15 s, then another starts.
    assert simulated.makespan_s == 15 + 5 + 10
    assert (simulated.num_lost, simulated.num_again) == (0, 0)


def test_a_crash_is_tried_again_on_a_fresh_replica_and_three_give_the_job_up():
    once = simulate(chains(1), fleet(1, num_steps=1), Given(crashes={("00", 0): 0.5}))
    assert once.makespan_s == 5 + 5 + 5 + 10
    always = simulate(chains(2, 1), fleet(1), Given(crashes={("00", n): 0.0 for n in range(3)}))
    assert always.given_up == {"00": "failed 3 times, the last time with: its replica crashed"}
    assert finished(always) == ["10"]


def test_a_job_that_takes_far_too_long_is_doubled_on_an_idle_replica():
    # Three jobs of 10 s are done after 20 s, so "00" may take 2 * 10 + 10 s. That it takes longer is seen 5 s later.
    jobs = chains(1, 1, 1, 1)
    # What comes after it keeps the other replicas.
    jobs[0] = Job("00", None, 60, 20)
    jobs += [Job("next", "00", 40, 20), Job("left", "next", 20, 20), Job("right", "next", 20, 20)]
    simulated = simulate(jobs, fleet(3, startup_s=0.0, num_steps=1), Given(slow={("00", 0): 100.0}))
    slow, quick = sorted((span for span in simulated.spans if span.key == "00"), key=lambda span: span.began)
    assert (slow.began, slow.ended, slow.is_done) == (0, 45, False)
    assert (quick.began, quick.ended, quick.is_done) == (35, 45, True)
    assert simulated.makespan_s == 45 + 10 + 10
    assert simulated.num_again == 1


def test_the_same_seed_gives_the_same_render_and_another_seed_another():
    dice = [Dice(seed, noise=0.2, losses_per_h=20.0, crash_share=0.05) for seed in (1, 1, 2)]
    first, again, other = (simulate(chains(4, 3, 5, 2), fleet(2), luck) for luck in dice)
    assert first == again != other


def test_noise_has_the_spread_that_is_asked_for_and_no_bias():
    luck = Dice(3, noise=0.2)
    drawn = [luck.slowness(str(key), 0) for key in range(4000)]
    mean = sum(drawn) / len(drawn)
    sd = math.sqrt(sum((each - mean) ** 2 for each in drawn) / len(drawn))
    assert mean == pytest.approx(1, abs=0.01)
    assert sd == pytest.approx(0.2, abs=0.01)


@settings(deadline=None, max_examples=200)
@given(forests(max_size=20), st.integers(1, 5), st.data())
def test_no_render_beats_the_bound_and_none_takes_twice_as_long(parents, num, data):
    costs = data.draw(st.lists(st.integers(1, 50), min_size=len(parents), max_size=len(parents)))
    jobs = jobs_of(parents, costs)
    simulated = simulate(jobs, Fleet((Device("gpu", 1),) * num, startup_s=7, floor=num))
    bound = least_makespan(jobs, num)
    assert finished(simulated) == sorted(job.key for job in jobs)
    # Graham (1966): list scheduling takes at most (2 - 1/N) times the shortest, for critical path and work / N alike.
    assert bound <= simulated.makespan_s - 7 + 1e-6
    assert simulated.makespan_s - 7 <= max(job.remaining for job in jobs) * (1 - 1 / num) + sum(costs) / num + 1e-6
    assert simulated.busy_s == pytest.approx(sum(costs))


@settings(deadline=None, max_examples=100)
@given(forests(max_size=20), st.integers(1, 5), st.integers(0, 10**6))
def test_whatever_happens_each_job_is_made_once_or_was_given_up(parents, num, seed):
    luck = Dice(seed, noise=0.5, losses_per_h=60.0, crash_share=0.1)
    jobs = jobs_of(parents, [30] * len(parents))
    simulated = simulate(jobs, fleet(num, notice_s=10.0 * (seed % 2)), luck)
    below = {str(n): None if parent is None else str(parent) for n, parent in enumerate(parents)}

    def is_lost(key):
        return key is not None and (key in simulated.given_up or is_lost(below[key]))

    assert finished(simulated) == sorted(key for key in below if not is_lost(key))
    assert simulated.busy_s <= simulated.gpu_s + 1e-6
    assert simulated.gpu_s <= num * simulated.makespan_s + 1e-6
