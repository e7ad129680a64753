"""How many replicas there should be."""

import pytest

from ursa_ray.schedule import Demand, Limits


@pytest.mark.parametrize(
    ("floor", "ceiling", "now", "ever", "wanted"),
    [
        (0, None, 5, 9, 5),
        (0, 3, 5, 9, 3),
        (2, None, 1, 9, 2),
        (2, None, 0, 1, 1),
        (0, None, 0, 0, 0),
        (4, 3, 1, 9, 3),
    ],
)
def test_as_many_as_can_work_within_the_limits(floor, ceiling, now, ever, wanted):
    assert Limits(floor, ceiling).num_wanted(Demand(now, ever)) == wanted


@pytest.mark.parametrize(
    ("floor", "demand", "num_alive", "idle_s", "released"),
    [
        (0, Demand(4, 4), 4, [], 0),
        (0, Demand(2, 2), 4, [0, 0], 2),  # never again
        (0, Demand(2, 3), 4, [0, 0], 1),  # a fork may bring work for one of them
        (0, Demand(2, 4), 4, [0, 59], 0),
        (0, Demand(2, 4), 4, [0, 60], 1),
        (0, Demand(2, 4), 4, [100, 60], 2),
        (3, Demand(2, 4), 4, [100, 60], 1),
        (3, Demand(2, 2), 4, [100, 60], 2),  # a floor, but not for nothing
        (0, Demand(2, 2), 4, [5], 1),  # one of them is still starting
    ],
)
def test_idle_ones_go_at_once_if_nothing_can_come_and_else_after_a_minute(floor, demand, num_alive, idle_s, released):
    assert Limits(floor).num_to_release(demand, num_alive, idle_s) == released
