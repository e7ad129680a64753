"""The sizes of a model, as its published configuration files give them.

A key that a file leaves out takes the default of the published class; a key that we do not use is ignored, since the
files carry many (`act_fn`, `sample_size`, ...).
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Self

from ursa_ray.errors import CheckpointError


@dataclass(frozen=True)
class _Config:
    @classmethod
    def from_json(cls, raw: Mapping[str, Any], where: str) -> Self:
        """Take the fields of this class from `raw`; `where` names its file in errors."""
        values = {}
        for field in fields(cls):
            if field.name in raw:
                values[field.name] = _checked(raw[field.name], field.type, f"{where}: {field.name}")
            elif field.default is MISSING:
                raise CheckpointError(f"{where}: {field.name} is missing. Is this an URSA checkpoint?")
        return cls(**values)


@dataclass(frozen=True)
class TransformerConfig(_Config):
    """Sizes of the Qwen3-style transformer; the defaults are URSA-1.7B-FSQ320's."""

    hidden_size: int = 2048
    intermediate_size: int = 6144
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int = 8
    head_dim: int = 128
    rope_theta: float = 1_000_000.0
    rms_norm_eps: float = 1e-6
    vocab_size: int = 215_669
    lm_vocab_size: int = 151_669
    lm_head_size: int = 64_000
    bov_token_id: int = 151_652


@dataclass(frozen=True)
class VideoTokenizerConfig(_Config):
    """Sizes of the causal 3-D tokenizer with finite scalar quantisation (`AutoencoderVQCosmos3D`).

    `levels` is ours: the published quantiser always has (8, 8, 8, 5, 5, 5), whose product is 64,000.
    """

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    latent_channels: int = 16
    patch_size: int = 4
    temporal_stride: int = 4
    spatial_stride: int = 8
    sample_frames: int = 17
    in_channels: int = 3
    out_channels: int = 3
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)


@dataclass(frozen=True)
class ImageTokenizerConfig(_Config):
    """Sizes of the 2-D tokenizer with a learned codebook (`AutoencoderVQ`)."""

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    latent_channels: int = 16
    num_vq_embeddings: int = 16_384
    vq_embed_dim: int = 8
    attn_down_block: bool = False
    attn_up_block: bool = False
    temporal_stride: int = 1
    spatial_stride: int = 16
    in_channels: int = 3
    out_channels: int = 3
    decoder_dtype: str | None = None


@dataclass(frozen=True)
class PathConfig(_Config):
    """The probability path: `alpha` None means the mixture path, otherwise beta(t) = c (t / (1 - t)) ** alpha."""

    alpha: float | None = None
    c: float | None = None
    shift: float = 1.0
    eps: float = 1e-5


TokenizerConfig = VideoTokenizerConfig | ImageTokenizerConfig

_TOKENIZERS: dict[str, type[TokenizerConfig]] = {
    "AutoencoderVQCosmos3D": VideoTokenizerConfig,
    "AutoencoderVQ": ImageTokenizerConfig,
}


def tokenizer_config(raw: Mapping[str, Any], where: str) -> TokenizerConfig:
    """Configuration of the visual tokenizer, its kind told by `_class_name`."""
    name = raw.get("_class_name")
    if name not in _TOKENIZERS:
        raise CheckpointError(f"{where}: _class_name is {name!r}, expected one of {', '.join(_TOKENIZERS)}.")
    return _TOKENIZERS[name].from_json(raw, where)


def read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror or error}). Fetch the checkpoint again."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}). Fetch the checkpoint again.") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path}: holds {type(raw).__name__}, expected a JSON object.")
    return raw


def _checked(value: Any, kind: Any, where: str) -> Any:
    optional = kind in (float | None, str | None)
    if optional and value is None:
        return None
    if kind == tuple[int, ...]:
        if isinstance(value, list) and all(_is_size(item) for item in value):
            return tuple(value)
        expected = "a list of positive whole numbers"
    elif kind is int:
        # A token id may be 0; every other whole number is a size.
        if _is_size(value) or (value == 0 and where.endswith("_id") and not isinstance(value, bool)):
            return value
        expected = "a positive whole number"
    elif kind is bool:
        if isinstance(value, bool):
            return value
        expected = "true or false"
    elif kind in (float, float | None):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        expected = "a number"
    else:
        if isinstance(value, str):
            return value
        expected = "a string"
    raise CheckpointError(f"{where} is {value!r}, expected {expected}.")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
