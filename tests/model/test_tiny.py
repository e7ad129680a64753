import json
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.model.tiny import write_tiny

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
def again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "tiny"
    state = torch.random.get_rng_state()
    write_tiny(folder)
    torch.random.set_rng_state(state)
    return folder


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_parts_of_the_published_layout_are_shipped_and_nothing_else():
    assert files(TINY) == PARTS


def test_it_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in TINY.rglob("*")) < 15e6


def test_making_it_again_makes_the_same_files(again):
    assert files(again) == PARTS


@pytest.mark.parametrize("file", [part for part in PARTS if part.endswith(".json")])
def test_making_it_again_makes_the_same_configuration_and_tokenizer(again, file):
    assert json.loads((again / file).read_text()) == json.loads((TINY / file).read_text())


@pytest.mark.parametrize("file", WEIGHTS)
def test_making_it_again_makes_the_same_weights(again, file):
    made, shipped = load_file(again / file), load_file(TINY / file)
    assert made.keys() == shipped.keys()
    assert {weight.dtype for weight in shipped.values()} == {torch.float16}
    # Equal where the CPU has AVX2; without, 223 of 693,764 round to the float16 neighbour.
    for name, weight in shipped.items():
        torch.testing.assert_close(made[name], weight, rtol=2**-10, atol=2e-6)
    num_equal = sum(int((made[name] == weight).sum()) for name, weight in shipped.items())
    assert num_equal > 0.998 * sum(weight.numel() for weight in shipped.values())


def test_making_it_again_makes_the_same_codebook(again):
    made, shipped = (
        torch.load(folder / "scheduler" / "scheduler_model.pth", weights_only=True)["path.emb"]
        for folder in (again, TINY)
    )
    assert torch.equal(made, shipped)
    # FSQ levels 8, 5, 5, 5: the first component has eighths of two below 1, the others have halves.
    assert made.shape == (1000, 4)
    assert sorted(set(made[:, 0].tolist())) == [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75]
    assert sorted(set(made[:, 1:].flatten().tolist())) == [-1, -0.5, 0, 0.5, 1]
    assert made.unique(dim=0).shape == (1000, 4)


def test_it_makes_the_same_weights_whatever_was_drawn_before(again, tmp_path):
    torch.manual_seed(1)
    write_tiny(tmp_path / "tiny")
    assert (tmp_path / "tiny" / WEIGHTS[0]).read_bytes() == (again / WEIGHTS[0]).read_bytes()


def test_its_weights_differ_from_each_other():
    for file in WEIGHTS:
        matrices = (weight for weight in load_file(TINY / file).values() if weight.ndim > 1)
        assert all(weight.std() > 0 for weight in islice(matrices, 50))


def test_its_defaults_fit_it():
    checkpoint = open_checkpoint("tiny")
    defaults = checkpoint.defaults
    assert (defaults.width, defaults.height, defaults.frames, defaults.overlap) == (96, 64, 17, 5)
    assert (defaults.fps, defaults.steps, defaults.max_prompt_length) == (12, 10, 64)
    assert defaults.trained_sizes == ((96, 64),)
    assert checkpoint.makes_video
    assert (defaults.frames - 1) % checkpoint.tokenizer.temporal_stride == 0
