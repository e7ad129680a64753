import math
import weakref

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from ursa_ray.checkpoint.config import VideoTokenizerConfig, read_json
from ursa_ray.errors import OptionError
from ursa_ray.model.video_tokenizer import VideoTokenizer

RELEASED = VideoTokenizerConfig(latent_channels=256, patch_size=2, sample_frames=49)


@pytest.fixture
def tokenizer(goldens):
    folder = goldens / "tiny-fsq" / "vae"
    tokenizer = VideoTokenizer(VideoTokenizerConfig.from_json(read_json(folder / "config.json"), "config.json"))
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    tokenizer.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return tokenizer.requires_grad_(False)


@pytest.fixture
def golden(goldens):
    return load_file(goldens / "golden-fsq.safetensors")


@pytest.fixture
def pixels(golden):
    return golden["vae.pixels"] / 127.5 - 1


def noise(num_frames, height=8, width=8):
    return torch.rand(1, 3, num_frames, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def random_codes(num_frames):
    return torch.randint(64_000, (1, num_frames, 1, 1), generator=torch.Generator().manual_seed(0))


def test_a_clip_has_the_published_codes(tokenizer, golden, pixels):
    assert torch.equal(tokenizer.encode(pixels), golden["vae.codes"].long())


def test_the_first_frame_alone_has_the_published_codes(tokenizer, golden, pixels):
    assert torch.equal(tokenizer.encode(pixels[:, :, :1]), golden["vae.codes_first_frame"].long())


def test_codes_decode_to_the_published_pixels(tokenizer, golden):
    decoded = tokenizer.decode(golden["vae.codes"].long())
    torch.testing.assert_close(decoded, golden["vae.decoded"], atol=1e-4, rtol=0)


def test_random_codes_decode_to_the_published_pixels(tokenizer, golden):
    decoded = tokenizer.decode(golden["vae.random_codes"].long())
    torch.testing.assert_close(decoded, golden["vae.random_decoded"].float(), atol=1e-4, rtol=2**-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_the_published_pixels(tokenizer, golden, pixels, dtype):
    tokenizer.to(dtype)
    decoded = tokenizer.decode(golden["vae.codes"].long())
    assert decoded.dtype == dtype
    torch.testing.assert_close(decoded.float(), golden["vae.decoded"], atol=0.2, rtol=0)
    assert (tokenizer.encode(pixels) == golden["vae.codes"]).float().mean() > 0.9


@pytest.mark.parametrize(("num_frames", "num_latent_frames"), [(1, 1), (5, 2), (13, 4), (49, 13)])
def test_every_fourth_frame_after_the_first_makes_a_latent_frame(tokenizer, num_frames, num_latent_frames):
    codes = tokenizer.encode(noise(num_frames, height=8, width=16))
    assert codes.shape == (1, num_latent_frames, 1, 2)
    assert tokenizer.decode(codes).shape == (1, 3, num_frames, 8, 16)


def test_clips_of_a_batch_do_not_see_each_other(tokenizer):
    clips = torch.cat([noise(5), -noise(5)])
    one_by_one = torch.cat([tokenizer.encode(clip[None]) for clip in clips])
    assert torch.equal(tokenizer.encode(clips), one_by_one)


def test_97_frames_are_two_tiles_that_share_a_frame(tokenizer, caplog):
    pixels = noise(97)
    tiles = [tokenizer.encode(pixels[:, :, :49]), tokenizer.encode(pixels[:, :, 48:])]
    assert torch.equal(tokenizer.encode(pixels), torch.cat(tiles, dim=1))
    assert not caplog.records


def test_26_latent_frames_decode_to_97_frames_without_the_first_of_the_second_tile(tokenizer, caplog):
    codes = random_codes(26)
    tiles = [tokenizer.decode(codes[:, :13]), tokenizer.decode(codes[:, 13:])[:, :, 1:]]
    decoded = tokenizer.decode(codes)
    assert decoded.shape[2] == 97
    assert torch.equal(decoded, torch.cat(tiles, dim=2))
    assert not caplog.records


def test_frames_that_fill_no_tile_are_dropped_with_a_warning(tokenizer, caplog):
    assert tokenizer.encode(noise(100)).shape[1] == 26
    assert caplog.messages == ["Dropped the last 3 of 100 frames: they fill no tile of 49."]


def test_latent_frames_that_fill_no_tile_are_dropped_with_a_warning(tokenizer, caplog):
    assert tokenizer.decode(random_codes(20)).shape[2] == 49
    assert caplog.messages == ["Dropped the last 7 of 20 latent frames: they fill no tile of 13."]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((5, 20, 16), r"height is 20, expected a multiple of 8\. Nearest: 16 or 24\."),
        ((5, 16, 3), r"width is 3, expected a multiple of 8\. Nearest: 8\."),
        ((7, 16, 16), r"number of frames is 7, expected 1 plus a multiple of 4\. Nearest: 5 or 9\."),
    ],
)
def test_sizes_that_do_not_fill_the_grid_are_refused(tokenizer, size, message):
    with pytest.raises(OptionError, match=message):
        tokenizer.encode(noise(*size))


def test_the_codebook_holds_what_the_decoder_is_given(tokenizer):
    codebook = tokenizer.half().codebook()
    assert (tokenizer.num_codes, tokenizer.codebook_dim) == codebook.shape == (64_000, 6)
    assert codebook.dtype == torch.float16
    assert codebook[32_036].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("temporal_stride", "spatial_stride", "latent_shape"), [(4, 8, (1, 5, 4, 6)), (8, 16, (1, 3, 2, 3))]
)
def test_patches_of_four_leave_fewer_halvings_to_the_stages(temporal_stride, spatial_stride, latent_shape):
    config = VideoTokenizerConfig(
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        patch_size=4,
        temporal_stride=temporal_stride,
        spatial_stride=spatial_stride,
    )
    tokenizer = VideoTokenizer(config).requires_grad_(False)
    codes = tokenizer.encode(noise(17, 32, 48))
    assert codes.shape == latent_shape
    assert tokenizer.decode(codes).shape == (1, 3, 17, 32, 48)


def conv_pair(name, in_channels, out_channels):
    return {
        f"{name}.0": (out_channels, in_channels, 1, 3, 3),
        f"{name}.1": (out_channels, out_channels, 3, 1, 1),
    }


def resnet(name, in_channels, out_channels):
    shapes = {
        f"{name}.norm1": (in_channels,),
        **conv_pair(f"{name}.conv1", in_channels, out_channels),
        f"{name}.norm2": (out_channels,),
        **conv_pair(f"{name}.conv2", out_channels, out_channels),
    }
    if in_channels != out_channels:
        shapes[f"{name}.conv_shortcut"] = (out_channels, in_channels, 1, 1, 1)
    return shapes


def mid_block(name):
    shapes = resnet(f"{name}.resnets.0", 512, 512) | resnet(f"{name}.resnets.1", 512, 512)
    for axis in (0, 1):
        attention = f"{name}.attentions.0.{axis}"
        shapes[f"{attention}.group_norm"] = (512,)
        shapes |= {f"{attention}.{linear}": (512, 512) for linear in ("to_q", "to_k", "to_v", "to_out.0")}
    return shapes


RELEASED_WEIGHTS = {
    **conv_pair("encoder.conv_in", 24, 128),
    **resnet("encoder.down_blocks.0.resnets.0", 128, 256),
    **resnet("encoder.down_blocks.0.resnets.1", 256, 256),
    "encoder.down_blocks.0.downsamplers.0.conv1": (256, 256, 1, 3, 3),
    "encoder.down_blocks.0.downsamplers.0.conv2": (256, 256, 3, 1, 1),
    "encoder.down_blocks.0.downsamplers.0.conv3": (256, 256, 1, 1, 1),
    **resnet("encoder.down_blocks.1.resnets.0", 256, 512),
    **resnet("encoder.down_blocks.1.resnets.1", 512, 512),
    "encoder.down_blocks.1.downsamplers.0.conv1": (512, 512, 1, 3, 3),
    "encoder.down_blocks.1.downsamplers.0.conv3": (512, 512, 1, 1, 1),
    **resnet("encoder.down_blocks.2.resnets.0", 512, 512),
    **resnet("encoder.down_blocks.2.resnets.1", 512, 512),
    **mid_block("encoder.mid_block"),
    "encoder.conv_norm_out": (512,),
    **conv_pair("encoder.conv_out", 512, 256),
    "quant_conv": (6, 256, 1, 1, 1),
    "post_quant_conv": (256, 6, 1, 1, 1),
    **conv_pair("decoder.conv_in", 256, 512),
    **mid_block("decoder.mid_block"),
    **resnet("decoder.up_blocks.0.resnets.0", 512, 512),
    **resnet("decoder.up_blocks.0.resnets.1", 512, 512),
    **resnet("decoder.up_blocks.0.resnets.2", 512, 512),
    "decoder.up_blocks.0.upsamplers.0.conv2": (512, 512, 1, 3, 3),
    "decoder.up_blocks.0.upsamplers.0.conv3": (512, 512, 1, 1, 1),
    **resnet("decoder.up_blocks.1.resnets.0", 512, 512),
    **resnet("decoder.up_blocks.1.resnets.1", 512, 512),
    **resnet("decoder.up_blocks.1.resnets.2", 512, 512),
    "decoder.up_blocks.1.upsamplers.0.conv1": (512, 512, 3, 1, 1),
    "decoder.up_blocks.1.upsamplers.0.conv2": (512, 512, 1, 3, 3),
    "decoder.up_blocks.1.upsamplers.0.conv3": (512, 512, 1, 1, 1),
    **resnet("decoder.up_blocks.2.resnets.0", 512, 256),
    **resnet("decoder.up_blocks.2.resnets.1", 256, 256),
    **resnet("decoder.up_blocks.2.resnets.2", 256, 256),
    "decoder.conv_norm_out": (256,),
    **conv_pair("decoder.conv_out", 256, 24),
}


@pytest.fixture
def released():
    with torch.device("meta"):
        return VideoTokenizer(RELEASED).requires_grad_(False)


def test_the_released_size_has_the_published_tensors_and_saves_no_other(released):
    expected = {f"{name}.weight": shape for name, shape in RELEASED_WEIGHTS.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in RELEASED_WEIGHTS.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in released.state_dict().items()}
    assert shapes == expected
    assert len(shapes) == 318
    assert sum(map(math.prod, shapes.values())) == 112_619_766


def test_a_released_clip_is_13_by_40_by_64_codes(released):
    codes = released.encode(torch.empty(1, 3, 49, 320, 512, device="meta"))
    assert codes.shape == (1, 13, 40, 64)
    assert released.decode(codes).shape == (1, 3, 49, 320, 512)


class Memory(TorchDispatchMode):
    """Bytes of what is computed within, now and at their peak."""

    def __init__(self):
        super().__init__()
        self.known, self.now, self.peak = weakref.WeakSet(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            storage = tensor.untyped_storage()
            if storage not in self.known:
                self.known.add(storage)
                self._count(storage.nbytes())
                weakref.finalize(storage, self._count, -storage.nbytes())
        return result

    def _count(self, num_bytes):
        self.now += num_bytes
        self.peak = max(self.peak, self.now)


@torch.no_grad()
def test_decoding_a_released_clip_in_fp16_takes_at_most_three_and_a_half_gigabytes(released):
    codes = torch.zeros(1, 13, 40, 64, dtype=torch.int64, device="meta")
    released.half()
    with Memory() as memory:
        released.decode(codes)
    # 8 GB, the goal, less 4.2 of weights, and some for what cuDNN works in.
    assert memory.peak < 3.5e9
