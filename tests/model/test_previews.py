"""The most likely result as the network sees it in the middle, which changes nothing."""

import numpy as np
import pytest
import torch

from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa
from ursa_ray.model.guidance import Denoiser, Guidance

SIZE = {"height": 48, "width": 64, "num_frames": 17}
OPTIONS = SIZE | {"num_inference_steps": 6, "seed": 3}


@pytest.fixture(scope="module")
def tiny():
    return Ursa.from_pretrained("tiny", device="cpu")


def with_previews(ursa, **options):
    """What is yielded, and the previews of all steps that can have one, by step."""
    likely = []
    previews = {"preview_steps": range(2, 6), "on_preview": likely.append}
    steps = list(ursa.generate_steps("a red square", "dark", **previews, **options))
    return steps, dict(enumerate(likely, 2))


@pytest.mark.parametrize("step", [1, 4])
def test_a_step_that_only_starts_or_is_the_result_has_no_preview(tiny, step):
    with pytest.raises(OptionError, match=f"preview_steps has {step}, expected 2 to 3: there are 4 steps"):
        next(tiny.generate_steps("x", num_inference_steps=4, preview_steps=[step], **SIZE))


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_preview_is_the_largest_logit_of_the_whole_network_and_changes_no_code(tiny, sampler, guidance):
    options = OPTIONS | {"sampler": sampler, "guidance_scale": guidance, "guidance_trunc": 0.6, "flow_shift": 1.0}
    steps, likely = with_previews(tiny, **options)
    for (_, codes), (_, undisturbed) in zip(steps, tiny.generate_steps("a red square", "dark", **options), strict=True):
        assert torch.equal(codes, undisturbed)
    texts = ["a red square", "dark"] if guidance > 1 else ["a red square"]
    prompts = torch.tensor([tiny.text.encode(text, tiny.checkpoint.defaults.max_prompt_length) for text in texts])
    denoiser = Denoiser(tiny.transformer, prompts, tuple(steps[0][1].shape), Guidance(guidance, 0.6))
    for (_, before), (step, found) in zip(steps, likely.items(), strict=False):
        with torch.no_grad():
            logits = denoiser.logits(before.flatten(), (step - 1) / 6)
        top = logits.topk(2).values
        is_clear = top[:, 0] - top[:, 1] > 1e-3  # guidance before and after the head rounds differently
        assert is_clear.float().mean() > 0.9
        assert torch.equal(found.flatten()[is_clear], logits.argmax(-1)[is_clear])


def test_a_preview_runs_the_last_layer_alone_once_more(tiny):
    num_runs = dict.fromkeys(range(len(tiny.transformer.model.layers)), 0)

    def count(index):
        def hook(*_):
            num_runs[index] += 1

        return hook

    hooks = [layer.register_forward_hook(count(i)) for i, layer in enumerate(tiny.transformer.model.layers)]
    with_previews(tiny, **OPTIONS)
    for hook in hooks:
        hook.remove()
    *before, last = num_runs.values()
    assert (set(before), last) == ({5}, 5 + 4)  # the first of six steps is not run


def test_a_preview_of_a_segment_with_a_condition_begins_with_it(tiny):
    clip = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    given = tiny.encode(clip)
    _, likely = with_previews(tiny, video=clip, cond_noise_scale=0.1, restore_condition=True, **OPTIONS)
    assert all(torch.equal(codes[: len(given)], given) for codes in likely.values())
