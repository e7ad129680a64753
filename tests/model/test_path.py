import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.model.statistics import goodness_of_fit
from ursa_ray.checkpoint.config import PathConfig
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.path import MetricPath, MixturePath, build_path, time_grid


@pytest.fixture(scope="session")
def path(ursa):
    return build_path(ursa.checkpoint.path, ursa.codebook)


@pytest.fixture(scope="session")
def codes(golden):
    return golden["sampler.x_t"][0].long(), golden["sampler.x_1"][0].long()


@pytest.fixture(scope="session")
def columns(golden):
    return golden["transformer.logits_probe_columns"].long()


def exact_distances(codebook, code):
    """Squared distances of one normalised codebook vector to all, float64."""
    vectors = codebook.double().numpy()
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-5)
    return ((vectors - vectors[code]) ** 2).sum(1)


def exact_rates(codebook, x_t, x_1, t, alpha=1.0, c=5.0):
    """Rates of the spec, 5.2 to 5.5, one pair of codes in float64."""
    d = exact_distances(codebook, x_1)
    weight = np.exp(-c * (t / (1 - t)) ** alpha * d)
    slope = c * alpha * t ** (alpha - 1) / (1 - t) ** (alpha + 1)
    return weight / weight.sum() * slope * np.maximum(0, d[x_t] - d)


def test_times_are_the_published_ones(golden):
    torch.testing.assert_close(torch.tensor(time_grid(8, 3.0), dtype=torch.float64), golden["sampler.t"])


@given(st.integers(1, 200), st.floats(0.01, 20))
def test_times_begin_at_exactly_zero_rise_and_never_reach_one(num_steps, shift):
    times = time_grid(num_steps, shift)
    assert times[0] == 0
    assert times == sorted(set(times)) and len(times) == num_steps
    assert times[-1] < 1
    tau = np.arange(num_steps) / num_steps
    np.testing.assert_allclose(times, tau / (tau + shift * (1 - tau)), atol=1e-12)


# The probes hold rates from 1e-9 up; what is smaller is a rounding error of a distance on both sides.
@pytest.mark.parametrize("step", [0, 3, 6])
def test_rates_are_the_published_ones(path, codes, columns, golden, step):
    rates = path.rates(*codes, float(golden["sampler.t"][step]))
    probe = golden[f"sampler.velocity_{step}_probe"][0]
    torch.testing.assert_close(rates[:, columns], probe, rtol=1e-4, atol=1e-6 * float(probe.max()))
    torch.testing.assert_close(
        rates.sum(-1, dtype=torch.float64), golden[f"sampler.velocity_{step}_rowsum"][0], rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("step", [3, 6])
def test_probabilities_are_the_published_ones(path, codes, columns, golden, step):
    probabilities = path.probabilities(codes[1], float(golden["sampler.t"][step]))
    probe = golden[f"sampler.path_prob_{step}_probe"][0]
    torch.testing.assert_close(probabilities[:, columns], probe, rtol=1e-4, atol=0)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(len(probe)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("step", [1, 3, 6])
def test_rates_follow_the_formula_in_float64(path, codes, ursa, step):
    t = time_grid(8, 3.0)[step]
    expected = np.stack([exact_rates(ursa.codebook, x, y, t) for x, y in zip(*codes, strict=True)])
    np.testing.assert_allclose(path.rates(*codes, t), expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.0, 2.0])
def test_nothing_moves_at_time_zero(ursa, codes, alpha):
    path = MetricPath(ursa.codebook, alpha, 5.0)
    assert path.beta(0.0) == path.beta_slope(0.0) == 0
    assert path.rates(*codes, 0.0).count_nonzero() == 0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_the_slope_is_the_derivative_of_beta(ursa, alpha):
    path, t, h = MetricPath(ursa.codebook, alpha, 6.0), 0.37, 1e-6
    assert path.beta_slope(t) == pytest.approx((path.beta(t + h) - path.beta(t - h)) / (2 * h), rel=1e-6)


def test_a_code_moves_strictly_closer_to_its_aim_only(path, codes, ursa):
    x_t, x_1 = codes
    rates = path.rates(x_t, x_1, 0.6)
    for row, x, y in zip(rates, x_t, x_1, strict=True):
        distances = exact_distances(ursa.codebook, y)
        # Float32 takes distances that differ by less than this for unequal or equal at random.
        farther = torch.from_numpy(distances >= distances[x] + 1e-6)
        closer = torch.from_numpy(distances < distances[x] - 1e-3)
        assert row[farther].count_nonzero() == 0
        assert (row[closer] > 0).any()
        assert (row >= 0).all()


def test_a_code_that_is_its_aim_stays(path, codes):
    _, x_1 = codes
    assert path.rates(x_1, x_1, 0.6).sum(-1).max() < 1e-5


def test_distances_are_between_0_and_4_and_squared(ursa, path):
    codes = torch.arange(0, ursa.tokenizer.num_codes, ursa.tokenizer.num_codes // 10)
    distances = path.distances(codes[:5])
    assert distances.min() > -1e-6 and distances.max() < 4 + 1e-5
    for row, code in zip(distances, codes, strict=False):
        np.testing.assert_allclose(row, exact_distances(ursa.codebook, code), atol=2e-6)
    torch.testing.assert_close(path.distance(codes[:5], codes[5:10]), distances.gather(1, codes[5:10, None])[:, 0])


def test_no_configured_exponent_means_the_mixture_path(ursa):
    assert isinstance(build_path(PathConfig(), ursa.codebook), MixturePath)
    assert isinstance(build_path(PathConfig(alpha=1.0, c=5.0), ursa.codebook), MetricPath)


def test_the_mixture_path_leads_to_its_aim_at_one_over_the_time_left():
    path = MixturePath(10)
    rates = path.rates(torch.tensor([3, 4]), torch.tensor([7, 4]), 0.75)
    expected = torch.zeros(2, 10)
    expected[0, 7] = expected[1, 4] = 4
    assert torch.equal(rates, expected)


def test_the_mixture_path_keeps_its_aim_with_probability_t_and_is_uniform_otherwise():
    probabilities = MixturePath(10).probabilities(torch.tensor([7]), 0.75)
    expected = [0.025] * 7 + [0.775] + [0.025] * 2
    torch.testing.assert_close(probabilities, torch.tensor([expected]))


@pytest.mark.parametrize("make", [MixturePath, lambda k: MetricPath(torch.eye(k)[:, :5], 1.0, 5.0)])
def test_noise_has_the_probabilities_of_the_path(make):
    path = make(12)
    noise = path.noise(torch.full((20_000,), 3), 0.3, torch.Generator().manual_seed(0))
    expected = path.probabilities(torch.tensor([3]), 0.3)[0]
    assert goodness_of_fit(noise, expected) > 1e-4


def test_noise_ends_where_it_began_as_time_ends():
    path = MetricPath(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), 1.0, 5.0)
    codes = torch.arange(50)
    assert math.isclose(path.probabilities(codes, 0.9999).diagonal().min(), 1, abs_tol=1e-6)
    assert torch.equal(path.noise(codes, 0.9999, torch.Generator().manual_seed(0)), codes)


@pytest.mark.parametrize("t", [0.1, 0.6, 0.98])
@pytest.mark.parametrize("levels", [(8, 5, 5), (3, 5, 5)])
def test_no_sum_of_rates_is_above_its_bounds_and_some_come_near(levels, t):
    codebook = FiniteScalarQuantizer(levels).codebook()
    path, num_codes = MetricPath(codebook, 1.0, 5.0), len(codebook)
    x_t = torch.arange(num_codes).repeat_interleave(num_codes)
    x_1 = torch.arange(num_codes).repeat(num_codes)
    sums, bounds = path.rates(x_t, x_1, t).sum(-1), path.max_rates(x_t, x_1, t)
    assert (sums <= bounds).all()
    assert (sums <= path.max_rate(t)).all()
    if t == 0.98:
        assert sums.max() > 0.9 * path.max_rate(t)


def test_rates_of_the_mixture_path_are_at_their_bounds():
    path = MixturePath(5)
    x_t, x_1 = torch.tensor([3, 4]), torch.tensor([2, 4])
    rates = path.rates(x_t, x_1, 0.75).scatter_(1, x_t[:, None], 0)
    assert torch.equal(rates.sum(-1), path.max_rates(x_t, x_1, 0.75))
    assert path.max_rate(0.75) == 4
