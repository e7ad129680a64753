"""The released models: what a plan needs of them before anything is downloaded."""

from dataclasses import dataclass
from typing import Any

from ursa_ray.checkpoint.config import (
    ImageTokenizerConfig,
    PathConfig,
    TokenizerConfig,
    TransformerConfig,
    VideoTokenizerConfig,
)


@dataclass(frozen=True)
class Released:
    transformer: TransformerConfig
    tokenizer: TokenizerConfig
    path: PathConfig
    defaults: dict[str, Any]


def _transformer(size: str, num_codes: int) -> TransformerConfig:
    hidden = {"0.6B": 1024, "1.7B": 2048}[size]
    return TransformerConfig(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        vocab_size=151_669 + num_codes,
        lm_head_size=num_codes,
    )


FSQ320 = VideoTokenizerConfig(
    block_out_channels=(128, 256, 512, 512), latent_channels=256, patch_size=2, sample_frames=49
)

IBQ1024 = ImageTokenizerConfig(
    block_out_channels=(256, 256, 512, 512, 1024),
    layers_per_block=4,
    latent_channels=256,
    num_vq_embeddings=131_072,
    vq_embed_dim=256,
    attn_down_block=True,
    attn_up_block=True,
)


def _video(size: str) -> Released:
    defaults = {"width": 512, "height": 320, "overlap": 13, "steps": 50, "trained_sizes": [[512, 320]]}
    return Released(_transformer(size, 64_000), FSQ320, PathConfig(alpha=1.0, c=5.0, shift=3.0), defaults)


def _image(size: str, side: int) -> Released:
    defaults = {"width": side, "height": side, "steps": 25, "trained_sizes": [[side, side]]}
    return Released(_transformer(size, 131_072), IBQ1024, PathConfig(alpha=0.5, c=6.0, shift=3.0), defaults)


# Sizes are verified or strongly inferred; a downloaded checkpoint's own configuration files replace them.
RELEASED = {
    "BAAI/URSA-0.6B-FSQ320": _video("0.6B"),
    "BAAI/URSA-1.7B-FSQ320": _video("1.7B"),
    "BAAI/URSA-0.6B-IBQ1024": _image("0.6B", 1024),
    "BAAI/URSA-1.7B-IBQ1024": _image("1.7B", 1024),
    "BAAI/URSA-1.7B-IBQ512": _image("1.7B", 512),
}
