import pytest
import torch

from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.path import MetricPath
from ursa_ray.training.config import TransformerTraining
from ursa_ray.training.noise import draw_times, noise_batch, shift_times

TRAINING = TransformerTraining(steps=1, batch=1)


@pytest.fixture
def path():
    return MetricPath(FiniteScalarQuantizer((4, 3)).codebook() + 0.1, alpha=1.0, c=5.0)


@pytest.fixture
def times():
    return draw_times(20_000, 5, TRAINING, shift=3.0, generator=torch.Generator().manual_seed(1))


def test_codes_are_noised_as_the_path_says(path):
    num_clips = 40_000
    codes = torch.tensor([7, 2]).expand(num_clips, 2)
    times = torch.tensor([0.2, 0.6]).expand(num_clips, 2)
    noised = noise_batch(path, codes, times, torch.Generator().manual_seed(2))
    for frame, (code, t) in enumerate([(7, 0.2), (2, 0.6)]):
        share = noised[:, frame].bincount(minlength=path.num_codes) / num_clips
        expected = path.probabilities(torch.tensor([code]), t)[0]
        # Four standard deviations of a share of 40,000 draws.
        assert (share - expected).abs().max() < 4 * (0.25 / num_clips) ** 0.5


def test_every_code_of_a_latent_frame_has_its_time(path):
    codes = torch.zeros(1, 12, dtype=torch.int64)
    noised = noise_batch(path, codes, torch.tensor([[0.9999, 0.01, 0.9999]]), torch.Generator().manual_seed(2))
    assert (noised[0, :4] == 0).all() and (noised[0, 8:] == 0).all() and (noised[0, 4:8] != 0).any()


def test_kinds_of_clips_have_their_shares(times):
    is_one = (times == times[:, :1]).all(1)
    later = times[:, 2:]
    is_conditioned = (later == later[:, :1]).all(1) & (times[:, 0] >= 0.8) & ~is_one
    shares = [float(kind.float().mean()) for kind in (is_one, is_conditioned, ~is_one & ~is_conditioned)]
    assert shares == pytest.approx([0.45, 0.35, 0.2], abs=0.015)


def test_half_of_the_conditioned_clips_begin_with_two_given_frames(times):
    later = times[:, 2:]
    conditioned = times[(later == later[:, :1]).all(1) & (times[:, 0] != times[:, 2])]
    assert float((conditioned[:, 1] == conditioned[:, 0]).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_shift_of_3_puts_half_of_the_times_under_a_quarter():
    # sigma 1/2: t = 1 - 3/2 / (1 + 2/2) = 1/4.
    assert float(shift_times(torch.tensor([0.5 / 0.999]), 3.0)) == pytest.approx(0.25)


def test_without_a_shift_times_are_nearly_uniform():
    uniform = torch.linspace(0, 0.999, 11)
    torch.testing.assert_close(shift_times(uniform, 1.0), 0.999 * uniform)


def test_no_time_reaches_1(times):
    assert times.min() >= 0 and times.max() < 1
