import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from ursa_ray.checkpoint.config import ImageTokenizerConfig, read_json
from ursa_ray.errors import CheckpointError, OptionError
from ursa_ray.model.image_tokenizer import ImageTokenizer, VectorQuantizer

RELEASED = ImageTokenizerConfig(
    block_out_channels=(256, 256, 512, 512, 1024),
    layers_per_block=4,
    latent_channels=256,
    num_vq_embeddings=131_072,
    vq_embed_dim=256,
    attn_down_block=True,
    attn_up_block=True,
)


@pytest.fixture
def config(goldens):
    return ImageTokenizerConfig.from_json(read_json(goldens / "tiny-ibq" / "vae" / "config.json"), "config.json")


@pytest.fixture
def tokenizer(goldens, config):
    tokenizer = ImageTokenizer(config)
    weights = load_file(goldens / "tiny-ibq" / "vae" / "diffusion_pytorch_model.safetensors")
    tokenizer.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return tokenizer.requires_grad_(False)


@pytest.fixture
def golden(goldens):
    return load_file(goldens / "golden-ibq.safetensors")


@pytest.fixture
def pixels(golden):
    return golden["vae.pixels"][:, :, None] / 127.5 - 1


@pytest.fixture
def codes(golden):
    return golden["vae.codes"][:, None].long()


def test_an_image_has_the_published_codes(tokenizer, pixels, codes):
    assert torch.equal(tokenizer.encode(pixels), codes)


def test_codes_decode_to_the_published_pixels(tokenizer, golden, codes):
    decoded = tokenizer.decode(codes)
    torch.testing.assert_close(decoded, golden["vae.decoded"][:, :, None], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_the_published_pixels(tokenizer, golden, pixels, codes, dtype):
    decoded = tokenizer.to(dtype).decode(codes)
    assert decoded.dtype == dtype
    torch.testing.assert_close(decoded.float(), golden["vae.decoded"][:, :, None], atol=0.2, rtol=0)
    assert (tokenizer.encode(pixels) == codes).float().mean() > 0.9


def test_several_frames_are_images_of_their_own(tokenizer, pixels, codes):
    flipped = pixels.flip(-1)
    both = tokenizer.encode(torch.cat([pixels, flipped], dim=2))
    assert torch.equal(both, torch.cat([codes, tokenizer.encode(flipped)], dim=1))
    assert tokenizer.decode(both).shape == (1, 3, 2, 64, 96)


def test_the_code_of_a_vector_has_the_largest_dot_product_though_another_is_nearer():
    quantizer = VectorQuantizer(2, 2)
    quantizer.load_state_dict({"embedding.weight": torch.tensor([[1.0, 0.0], [3.0, 3.0]])})
    assert quantizer.quantize(torch.tensor([[1.0, 0.1], [1.0, -0.9]])).tolist() == [1, 0]


def test_the_codebook_is_the_published_table(tokenizer, goldens):
    weights = load_file(goldens / "tiny-ibq" / "vae" / "diffusion_pytorch_model.safetensors")
    assert (tokenizer.num_codes, tokenizer.codebook_dim) == (640, 8)
    assert torch.equal(tokenizer.codebook(), weights["quantizer.embedding.weight"].float())


def test_a_size_that_does_not_fill_the_grid_is_refused(tokenizer):
    message = r"width is 100, expected a multiple of 16\. Nearest: 96 or 112\."
    with pytest.raises(OptionError, match=message):
        tokenizer.encode(torch.zeros(1, 3, 1, 64, 100))


def test_the_decoder_keeps_the_dtype_of_the_configuration(config, codes):
    tokenizer = ImageTokenizer(replace(config, decoder_dtype="float32")).requires_grad_(False)
    assert tokenizer.to(torch.float16).decode(codes).dtype == torch.float32
    assert tokenizer.post_quant_conv.weight.dtype == torch.float16


def test_an_unknown_decoder_dtype_is_refused(config):
    with pytest.raises(CheckpointError, match="decoder_dtype is 'fp99'"):
        ImageTokenizer(replace(config, decoder_dtype="fp99"))


def resnet(name, in_channels, out_channels):
    shapes = {
        f"{name}.norm1": (in_channels,),
        f"{name}.conv1": (out_channels, in_channels, 3, 3),
        f"{name}.norm2": (out_channels,),
        f"{name}.conv2": (out_channels, out_channels, 3, 3),
    }
    if in_channels != out_channels:
        shapes[f"{name}.conv_shortcut"] = (out_channels, in_channels, 1, 1)
    return shapes


def attention(name):
    linears = {f"{name}.{linear}": (1024, 1024) for linear in ("to_q", "to_k", "to_v", "to_out.0")}
    return {f"{name}.group_norm": (1024,)} | linears


def stage(name, num_resnets, in_channels, out_channels):
    shapes = resnet(f"{name}.resnets.0", in_channels, out_channels)
    for i in range(1, num_resnets):
        shapes |= resnet(f"{name}.resnets.{i}", out_channels, out_channels)
    return shapes


def attentions(name, num):
    return {key: shape for i in range(num) for key, shape in attention(f"{name}.attentions.{i}").items()}


def mid_block(name):
    return stage(name, 2, 1024, 1024) | attentions(name, 1)


RELEASED_WEIGHTS = {
    "quant_conv": (256, 256, 1, 1),
    "post_quant_conv": (256, 256, 1, 1),
    "encoder.conv_in": (256, 3, 3, 3),
    **stage("encoder.down_blocks.0", 4, 256, 256),
    "encoder.down_blocks.0.downsamplers.0.conv": (256, 256, 3, 3),
    **stage("encoder.down_blocks.1", 4, 256, 256),
    "encoder.down_blocks.1.downsamplers.0.conv": (256, 256, 3, 3),
    **stage("encoder.down_blocks.2", 4, 256, 512),
    "encoder.down_blocks.2.downsamplers.0.conv": (512, 512, 3, 3),
    **stage("encoder.down_blocks.3", 4, 512, 512),
    "encoder.down_blocks.3.downsamplers.0.conv": (512, 512, 3, 3),
    **stage("encoder.down_blocks.4", 4, 512, 1024),
    **attentions("encoder.down_blocks.4", 4),
    **mid_block("encoder.mid_block"),
    "encoder.conv_norm_out": (1024,),
    "encoder.conv_out": (256, 1024, 3, 3),
    "decoder.conv_in": (1024, 256, 3, 3),
    **mid_block("decoder.mid_block"),
    **stage("decoder.up_blocks.0", 5, 1024, 1024),
    **attentions("decoder.up_blocks.0", 5),
    "decoder.up_blocks.0.upsamplers.0.conv": (1024, 1024, 3, 3),
    **stage("decoder.up_blocks.1", 5, 1024, 512),
    "decoder.up_blocks.1.upsamplers.0.conv": (512, 512, 3, 3),
    **stage("decoder.up_blocks.2", 5, 512, 512),
    "decoder.up_blocks.2.upsamplers.0.conv": (512, 512, 3, 3),
    **stage("decoder.up_blocks.3", 5, 512, 256),
    "decoder.up_blocks.3.upsamplers.0.conv": (256, 256, 3, 3),
    **stage("decoder.up_blocks.4", 5, 256, 256),
    "decoder.conv_norm_out": (256,),
    "decoder.conv_out": (3, 256, 3, 3),
}


@pytest.fixture
def released():
    with torch.device("meta"):
        return ImageTokenizer(RELEASED).requires_grad_(False)


def test_the_released_size_has_the_published_tensors_and_saves_no_other(released):
    expected = {f"{name}.weight": shape for name, shape in RELEASED_WEIGHTS.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in RELEASED_WEIGHTS.items()}
    expected["quantizer.embedding.weight"] = (131_072, 256)
    shapes = {name: tuple(tensor.shape) for name, tensor in released.state_dict().items()}
    assert shapes == expected
    assert len(shapes) == 543
    assert sum(map(math.prod, shapes.values())) == 455_336_963


def test_a_released_image_is_64_by_64_codes(released):
    codes = released.encode(torch.empty(1, 3, 1, 1024, 1024, device="meta"))
    assert codes.shape == (1, 1, 64, 64)
    assert released.decode(codes).shape == (1, 3, 1, 1024, 1024)
