"""The benches of the schedule once, small: a cell of the tables, and a real render beside its prediction."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from ursa_ray.schedule import Device, Fleet, Job, Luck, missing_jobs, simulate

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """As when a bench is run: its folder is where it imports from."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def test_sixty_equal_segments_on_seven_replicas_take_nine_segments_whatever_the_schedule(benchmarks):
    import bench_schedule

    jobs = [Job(f"{n}", None, remaining=10.0, cost=10.0) for n in range(60)]
    cell = bench_schedule.cell("cuts", 60, 0, jobs, 7)
    assert cell.makespan_s == pytest.approx(90)  # 8 segments would be 56
    assert cell.ratio == pytest.approx(9 * 7 / 60)
    assert cell.nearer == pytest.approx(1)


def test_the_storyboards_of_the_bench_are_what_their_seed_says(benchmarks):
    import boards

    assert boards.raw_shots(50, 1, "mixed") == boards.raw_shots(50, 1, "mixed") != boards.raw_shots(50, 2, "mixed")
    planned = boards.plan(boards.storyboard(300))
    lengths = [len(shot.segments) for shot in planned.shots]
    assert (min(lengths), max(lengths)) == (1, 20)


class Lengths(Luck):
    """Segments that end at least 0.1 s apart, so that a real clock cannot change their order."""

    def __init__(self, plan, tenths):
        self.tenths = {segment.key: each for segment, each in zip(plan.segments, tenths, strict=True)}

    def slowness(self, key, replica):
        return float(self.tenths[key])


def test_a_real_director_starts_the_segments_that_the_simulator_starts_in_its_order(benchmarks):
    import bench_prediction

    plan = bench_prediction.film([(3, None), (2, None), (2, 0), (1, None)], steps=2)
    luck = Lengths(plan, [5, 4, 3, 3, 8, 2, 6, 4])
    fleet = Fleet((Device("sleep", plan.segments[0].flops / 0.1),) * 2, 0.5, floor=2)
    ends = sorted(span.ended for span in simulate(missing_jobs(plan), fleet, luck).spans)
    assert all(later - earlier > 0.09 for earlier, later in pairwise(ends))
    compared = bench_prediction.compare(plan, 2, 0.1, 0.5, luck)
    assert compared.starts == compared.predicted_starts
    assert compared.predicted_s <= compared.measured_s
