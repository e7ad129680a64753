import pytest
import torch
from torch import nn

from ursa_ray.checkpoint.config import TransformerConfig, VideoTokenizerConfig
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training.config import Schedule
from ursa_ray.training.optimizers import Optimizers, group_parameters, rate_share


@pytest.fixture(params=["transformer", "tokenizer"])
def module(request, config):
    if request.param == "tokenizer":
        return VideoTokenizer(config.model.tokenizer_config())
    return Transformer(config.model.transformer_config(20, 12))


def test_every_parameter_is_in_one_group(module):
    groups = group_parameters(module)
    names = [*groups.matrices, *groups.others]
    assert sorted(names) == sorted(name for name, _ in module.named_parameters())


def test_tables_and_vectors_are_not_matrices(module):
    for name in group_parameters(module).matrices:
        assert name.endswith("weight") and "norm" not in name and "embed_tokens" not in name and "lm_head" not in name


def test_a_step_moves_every_parameter(module):
    optimizers = Optimizers(module, Schedule(steps=4, batch=1, warmup=0))
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    for value in module.parameters():
        value.grad = torch.randn(value.shape, generator=generator)
    optimizers.step(0)
    for name, value in module.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert value.grad is None, name


def test_muon_makes_the_step_of_a_kernel_orthogonal():
    module = nn.Conv3d(4, 4, (1, 2, 2))
    before = module.weight.detach().clone()
    optimizers = Optimizers(module, Schedule(steps=2, batch=1, warmup=0, muon=0.1))
    module.weight.grad = torch.randn(module.weight.shape, generator=torch.Generator().manual_seed(0))
    module.bias.grad = torch.ones(4)
    optimizers.step(0)
    singular = torch.linalg.svdvals((before - module.weight.detach()).flatten(1) / 0.1)
    # Five Newton-Schulz iterations bring singular values to about 1.
    assert singular.min() > 0.5 and singular.max() < 1.5


def test_rates_rise_stay_and_fall_to_zero():
    schedule = Schedule(steps=100, batch=1, warmup=9, hold=0.5)
    shares = [rate_share(schedule, step) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and shares[9] == 1 and shares[50] == pytest.approx(1)
    assert shares[75] == pytest.approx(0.5) and shares[99] == pytest.approx(0.02)


def test_published_sizes_are_grouped_without_memory():
    with torch.device("meta"):
        module = Transformer(TransformerConfig(num_hidden_layers=2))
        tokenizer = VideoTokenizer(VideoTokenizerConfig(patch_size=2, latent_channels=256))
    assert len(group_parameters(module).matrices) == 2 * 7
    assert len(group_parameters(tokenizer).matrices) > 50
