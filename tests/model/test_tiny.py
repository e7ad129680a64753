"""The built-in checkpoint is whole and is what training/tiny.yaml says. Whether its clips are good is another test."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.model import Ursa
from ursa_ray.model.loading import load_codebook
from ursa_ray.training.config import Config
from ursa_ray.training.stages import word_vocabulary

CONFIG = Path(__file__).parents[2] / "training" / "tiny.yaml"
WEIGHTS = ["transformer/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"]
PARTS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "scheduler/scheduler_model.pth",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "ursa_ray.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]


@pytest.fixture(scope="module")
def tiny():
    return Ursa.from_pretrained("tiny", device="cpu")


@pytest.fixture(scope="module")
def codebook():
    return load_codebook(open_checkpoint("tiny"), torch.device("cpu"))


def test_all_parts_of_the_published_layout_are_shipped_and_nothing_else():
    assert sorted(path.relative_to(TINY).as_posix() for path in TINY.rglob("*") if path.is_file()) == PARTS


def test_it_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in TINY.rglob("*") if path.is_file()) <= 15e6


def test_its_defaults_are_those_it_was_trained_with():
    checkpoint = open_checkpoint("tiny")
    defaults = checkpoint.defaults
    assert (defaults.width, defaults.height, defaults.fps, defaults.frames, defaults.overlap) == (64, 48, 12, 17, 5)
    assert (defaults.steps, defaults.guidance, defaults.max_prompt_length) == (16, 3.0, 32)
    assert defaults.trained_sizes == ((64, 48),)
    assert checkpoint.makes_video
    assert (defaults.frames - 1) % checkpoint.tokenizer.temporal_stride == 0


def test_its_sizes_are_those_of_the_configuration_that_trains_it():
    checkpoint, model = open_checkpoint("tiny"), Config.from_yaml(CONFIG).model
    num_text = word_vocabulary().get_vocab_size()
    assert checkpoint.transformer == model.transformer_config(num_text, num_codes=1000)
    assert checkpoint.tokenizer == model.tokenizer_config()
    assert checkpoint.path == model.path_config()
    shared = ("width", "height", "fps", "frames", "overlap", "steps", "guidance", "max_prompt_length")
    assert {name: getattr(checkpoint.defaults, name) for name in shared} == {
        name: getattr(model, name) for name in shared
    }


def test_its_text_vocabulary_is_that_of_the_drawn_world():
    assert json.loads((TINY / "tokenizer" / "tokenizer.json").read_text()) == json.loads(word_vocabulary().to_str())


@pytest.mark.parametrize("file", WEIGHTS)
def test_its_weights_are_finite_and_differ_from_each_other(file):
    weights = load_file(TINY / file)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert [name for name, weight in weights.items() if not weight.isfinite().all()] == []
    matrices = (weight for weight in weights.values() if weight.ndim > 1)
    assert all(weight.float().std() > 0 for weight in islice(matrices, 50))


def test_no_two_codes_have_the_same_place_in_the_metric(codebook):
    assert codebook.isfinite().all()
    assert torch.nn.functional.normalize(codebook).unique(dim=0).shape == (1000, 5)


def test_every_code_can_be_decoded(tiny):
    codes = torch.arange(1000).view(1, 5, 10, 20)
    assert tiny.tokenizer.decode(codes).isfinite().all()
    assert tiny.decode(codes[0]).shape == (17, 80, 160, 3)


def test_it_is_found_by_its_name_and_makes_clips_of_its_size(tiny):
    assert (tiny.checkpoint.name, tiny.checkpoint.folder) == ("tiny", TINY)
    codes = tiny.generate("a red square moves to the right", num_inference_steps=2)
    assert codes.shape == (5, 6, 8)
    assert tiny.decode(codes).shape == (17, 48, 64, 3)


def test_a_seed_decides_its_codes(tiny):
    once, again, other = (tiny.generate("a red square", num_inference_steps=4, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
