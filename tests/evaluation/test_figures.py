import numpy as np
import pytest

from ursa_ray.evaluation.figures import Mean, Rate, Ratio, wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(right: int, total: int, low: float, high: float):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def test_a_rate_is_its_share():
    rate = Rate("colour", 3, 4)
    assert (rate.value, rate.counted) == (0.75, "3 of 4")
    assert rate.interval[0] < 0.75 < rate.interval[1]


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = Mean("seam", tuple(values)).interval
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_what_chains_share_does_not_widen_the_interval_of_a_ratio():
    shared = np.random.default_rng(2).uniform(1, 3, 50)
    ratio = Ratio("over", tuple(1.2 * shared), tuple(shared))
    assert ratio.interval == pytest.approx((1.2, 1.2))
    assert ratio.value == pytest.approx(1.2)
    low, high = Ratio("over", tuple(1.2 * shared), tuple(shared[::-1])).interval
    assert high - low > 0.1
