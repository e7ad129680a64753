import pytest

from ursa_ray.evaluation.rates import Rate, wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(right: int, total: int, low: float, high: float):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def test_a_rate_is_its_share():
    rate = Rate("colour", 3, 4)
    assert rate.share == 0.75
    assert rate.interval[0] < 0.75 < rate.interval[1]
