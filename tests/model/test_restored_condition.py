"""A condition whose own codes are put back at the end: joins show less, and nothing else changes."""

import numpy as np
import pytest
import torch

from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa


@pytest.fixture(scope="module")
def tiny():
    return Ursa.from_pretrained("tiny", device="cpu")


@pytest.fixture(scope="module")
def video(tiny):
    shape = (5, tiny.checkpoint.defaults.height, tiny.checkpoint.defaults.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def generate(tiny, **options):
    return tiny.generate("a red circle", num_inference_steps=3, cond_noise_scale=0.1, seed=4, **options)


def test_the_condition_has_its_own_codes_and_the_rest_is_as_it_would_be(tiny, video):
    restored = generate(tiny, video=video, restore_condition=True)
    torch.testing.assert_close(restored[:2], tiny.encode(video), rtol=0, atol=0)
    torch.testing.assert_close(restored[2:], generate(tiny, video=video)[2:], rtol=0, atol=0)


def test_only_the_chosen_frames_of_a_condition_are_restored(tiny, video):
    restored = generate(tiny, video=video, restore_condition=True, cond_indices=[1])
    torch.testing.assert_close(restored[1], tiny.encode(video)[1], rtol=0, atol=0)
    assert not torch.equal(restored[0], tiny.encode(video)[0])


def test_without_a_condition_it_changes_nothing(tiny):
    assert torch.equal(generate(tiny, restore_condition=True), generate(tiny))


def test_a_resumed_generation_is_restored_too(tiny, video):
    options = {"num_inference_steps": 3, "video": video, "seed": 4, "restore_condition": True}
    steps = list(tiny.generate_steps("a red circle", **options))
    *_, (_, resumed) = tiny.generate_steps("a red circle", resume=steps[1], **options)
    assert torch.equal(resumed, steps[-1][1])


def test_anything_but_true_or_false_is_refused(tiny):
    with pytest.raises(OptionError, match="restore_condition is 'yes', expected True or False"):
        generate(tiny, restore_condition="yes")
