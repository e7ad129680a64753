import math

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from tests.model.networks import SMALL
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.model import Backends
from ursa_ray.model.transformer import Block, Transformer


@pytest.fixture(scope="session")
def inputs(golden):
    return {name.removeprefix("transformer."): value for name, value in golden.items() if "transformer." in name}


@pytest.fixture(scope="session")
def logits(ursa, inputs, cases, kind):
    """Logits of both recorded sequences, which differ in their visual tokens too."""
    num_text, grid = cases[kind]["text_length"], tuple(cases[kind]["latents_shape"])
    transformer = ursa.transformer
    rotary = transformer.rotary(num_text, grid)
    rows = []
    for ids in inputs["input_ids"].long():
        assert ids[num_text] == transformer.config.bov_token_id
        codes = ids[num_text + 1 :] - transformer.config.lm_vocab_size
        rows.append(transformer.lm_head(transformer(ids[None, :num_text], codes, rotary))[0])
    return torch.stack(rows)


def test_logits_are_the_published_ones(logits, inputs):
    columns = inputs["logits_probe_columns"].long()
    torch.testing.assert_close(logits[..., columns], inputs["logits_probe"], atol=1e-4, rtol=0)


def test_normalisers_are_the_published_ones(logits, inputs):
    torch.testing.assert_close(logits.logsumexp(-1), inputs["logits_logsumexp"], atol=1e-4, rtol=0)


def test_the_likeliest_codes_are_the_published_ones(logits, inputs):
    assert torch.equal(logits.argmax(-1), inputs["logits_argmax"].long())


@torch.no_grad()
def test_prompts_of_a_batch_do_not_see_each_other(ursa, inputs, cases, kind):
    num_text, grid = cases[kind]["text_length"], tuple(cases[kind]["latents_shape"])
    prompts = inputs["input_ids"][:, :num_text].long()
    codes = torch.arange(math.prod(grid))
    rotary = ursa.transformer.rotary(num_text, grid)
    alone = torch.cat([ursa.transformer(prompt[None], codes, rotary) for prompt in prompts])
    torch.testing.assert_close(ursa.transformer(prompts, codes, rotary), alone, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("changed", ["padding", "last token"])
def test_every_row_sees_padding_and_later_tokens(ursa, kind, cases, changed):
    grid = tuple(cases[kind]["latents_shape"])
    rotary = ursa.transformer.rotary(8, grid)
    prompt, codes = torch.tensor([[0, 0, 0, 5, 6, 7, 8, 9]]), torch.arange(math.prod(grid))
    before = ursa.transformer(prompt, codes, rotary)
    if changed == "padding":
        prompt = prompt.clone()
        prompt[0, 0] = 4
    else:
        codes[-1] = 600
    assert (ursa.transformer(prompt, codes, rotary) - before).abs().amax(-1).min() > 1e-4


@torch.no_grad()
def test_rows_of_chosen_tokens_are_those_among_all(ursa, inputs, cases, kind):
    num_text, grid = cases[kind]["text_length"], tuple(cases[kind]["latents_shape"])
    prompts, codes = inputs["input_ids"][:, :num_text].long(), torch.arange(math.prod(grid))
    rotary = ursa.transformer.rotary(num_text, grid)
    scored = torch.tensor([0, 3, 4, len(codes) - 1])
    every = ursa.transformer(prompts, codes, rotary)
    assert every.shape[1] == len(codes)
    chosen = ursa.transformer(prompts, codes, rotary, scored)
    torch.testing.assert_close(chosen, every[:, scored], atol=1e-5, rtol=0)


class Copies(TorchDispatchMode):
    """Shapes of what is copied into another layout."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.clone.default:
            self.shapes.append(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


@torch.no_grad()
@pytest.mark.parametrize("fused", [False, True])
def test_heads_are_attended_to_as_they_come_without_a_copy(fused):
    block = Block(SMALL)
    block.self_attn.compute_with(Backends("flash", fused=fused))
    with Copies() as copies:
        block(torch.ones(2, 37, SMALL.hidden_size), torch.ones(2, 37, SMALL.head_dim // 2))
    # On a CPU key heads are repeated, an axis of its own.
    assert [shape for shape in copies.shapes if len(shape) < 5] == []


def published_shapes(hidden, mlp, num_codes):
    q, kv, vocabulary = 2048, 1024, 151_669 + num_codes
    shapes = {"model.embed_tokens": (vocabulary, hidden), "model.norm": (hidden,), "lm_head": (num_codes, hidden)}
    for i in range(28):
        layer = f"model.layers.{i}"
        shapes |= {
            f"{layer}.self_attn.q_proj": (q, hidden),
            f"{layer}.self_attn.k_proj": (kv, hidden),
            f"{layer}.self_attn.v_proj": (kv, hidden),
            f"{layer}.self_attn.o_proj": (hidden, q),
            f"{layer}.self_attn.q_norm": (128,),
            f"{layer}.self_attn.k_norm": (128,),
            f"{layer}.mlp.gate_proj": (mlp, hidden),
            f"{layer}.mlp.up_proj": (mlp, hidden),
            f"{layer}.mlp.down_proj": (hidden, mlp),
            f"{layer}.input_layernorm": (hidden,),
            f"{layer}.post_attention_layernorm": (hidden,),
        }
    return {f"{name}.weight": shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("name", "hidden", "mlp", "num_codes", "num_parameters"),
    [
        ("BAAI/URSA-0.6B-FSQ320", 1024, 3072, 64_000, 726_848_512),
        ("BAAI/URSA-1.7B-FSQ320", 2048, 6144, 64_000, 1_982_172_160),
        ("BAAI/URSA-0.6B-IBQ1024", 1024, 3072, 131_072, 864_211_968),
        ("BAAI/URSA-1.7B-IBQ1024", 2048, 6144, 131_072, 2_256_899_072),
        ("BAAI/URSA-1.7B-IBQ512", 2048, 6144, 131_072, 2_256_899_072),
    ],
)
def test_the_released_sizes_have_the_published_tensors_and_save_no_other(name, hidden, mlp, num_codes, num_parameters):
    with torch.device("meta"):
        transformer = Transformer(RELEASED[name].transformer)
    shapes = {name: tuple(tensor.shape) for name, tensor in transformer.state_dict().items()}
    assert shapes == published_shapes(hidden, mlp, num_codes)
    assert len(shapes) == 311
    assert sum(map(math.prod, shapes.values())) == num_parameters


def test_a_released_clip_has_one_row_for_every_token():
    with torch.device("meta"):
        transformer = Transformer(RELEASED["BAAI/URSA-1.7B-FSQ320"].transformer)
        prompts, codes = torch.zeros(2, 320, dtype=torch.int64), torch.zeros(13 * 40 * 64, dtype=torch.int64)
        rotary = transformer.rotary(320, (13, 40, 64))
    assert rotary.shape == (2, 33_601, 64)
    assert transformer.lm_head(transformer(prompts, codes, rotary)).shape == (2, 33_280, 64_000)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_the_published_logits(kind, golden_folder, inputs, cases, dtype):
    from ursa_ray.model import Ursa

    transformer = Ursa.from_pretrained(str(golden_folder / f"tiny-{kind}"), device="cpu", dtype=dtype).transformer
    num_text, grid = cases[kind]["text_length"], tuple(cases[kind]["latents_shape"])
    ids = inputs["input_ids"][0].long()
    codes = ids[num_text + 1 :] - transformer.config.lm_vocab_size
    hidden = transformer(ids[None, :num_text], codes, transformer.rotary(num_text, grid))
    logits = transformer.lm_head(hidden)[0, :, inputs["logits_probe_columns"].long()]
    assert logits.dtype == dtype
    error = (logits.float() - inputs["logits_probe"][0]).std() / inputs["logits_probe"][0].std()
    assert error < 8 * torch.finfo(dtype).eps


def test_the_recorded_weights_are_loaded_unchanged(ursa, kind, golden_folder):
    stored = load_file(golden_folder / f"tiny-{kind}" / "transformer" / "diffusion_pytorch_model.safetensors")
    loaded = ursa.transformer.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], weight.float()) for name, weight in stored.items())
