"""Weights from the published folder layout into our modules: sizes from the configs, every tensor accounted for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.checkpoint.config import ImageTokenizerConfig, TransformerConfig
from ursa_ray.errors import CheckpointError
from ursa_ray.model.image_tokenizer import ImageTokenizer
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer

StateDict = dict[str, Tensor]

Module = TypeVar("Module", bound=nn.Module)

VisualTokenizer = VideoTokenizer | ImageTokenizer

# In order of preference: safetensors cannot run code and can be mapped.
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model", "scheduler_model")
SUFFIXES = (".safetensors", ".bin", ".pth")

MAX_NAMED = 8


def check_weights(checkpoint: Checkpoint) -> None:
    """Find out from names and shapes alone whether a checkpoint's weights will load.

    Raises:
        CheckpointError: they will not.
    """
    meta = torch.device("meta")
    load_transformer(checkpoint, meta, torch.float32)
    load_visual_tokenizer(checkpoint, meta, torch.float32)
    load_codebook(checkpoint, meta)


def load_transformer(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Transformer:
    folder = _folder(checkpoint) / "transformer"
    weights = read_weights(folder, device)
    config = _with_head_dim(checkpoint.transformer, weights)
    with torch.device("meta"):
        transformer = Transformer(config)
    return _filled(transformer, weights, folder, device, dtype)


def load_visual_tokenizer(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> VisualTokenizer:
    folder = _folder(checkpoint) / "vae"
    with torch.device("meta"):
        tokenizer = build_visual_tokenizer(checkpoint)
    return _filled(tokenizer, read_weights(folder, device), folder, device, dtype)


def build_visual_tokenizer(checkpoint: Checkpoint) -> VisualTokenizer:
    config = checkpoint.tokenizer
    return ImageTokenizer(config) if isinstance(config, ImageTokenizerConfig) else VideoTokenizer(config)


def load_codebook(checkpoint: Checkpoint, device: torch.device) -> Tensor:
    """Codebook of the metric, (k, e) float32."""
    folder = _folder(checkpoint) / "scheduler"
    weights = read_weights(folder, device)
    codebook, num_codes = weights.get("path.emb"), checkpoint.transformer.lm_head_size
    if codebook is None or codebook.ndim != 2 or len(codebook) != num_codes:
        found = "nothing" if codebook is None else f"shape {tuple(codebook.shape)}"
        raise CheckpointError(f"{folder}: path.emb has {found}, expected ({num_codes}, e). Fetch the checkpoint again.")
    return codebook.to(device, torch.float32)


def read_weights(folder: Path, device: torch.device) -> StateDict:
    """All tensors of a folder: one file, or the shards that an index names. Nothing is unpickled but tensors.

    They are on the CPU; on the meta device, which has names and shapes alone, if that is the `device`.
    """
    for suffix in SUFFIXES:
        for stem in STEMS:
            index = folder / f"{stem}{suffix}.index.json"
            if index.exists():
                return _read_shards(index, device)
            if (folder / f"{stem}{suffix}").exists():
                return _read_file(folder / f"{stem}{suffix}", device)
    raise CheckpointError(
        f"{folder}: no weights here. Expected {STEMS[0]}.safetensors, .bin or .pth. Fetch the checkpoint again."
    )


def _read_shards(index: Path, device: torch.device) -> StateDict:
    try:
        names = sorted(map(Path, set(json.loads(index.read_text())["weight_map"].values())))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index}: is not an index of weights. Fetch the checkpoint again.") from error
    weights: StateDict = {}
    for name in names:
        if name.name != str(name) or name.name == "..":
            raise CheckpointError(f"{index}: names {str(name)!r}, expected a file beside it.")
        weights |= _read_file(index.parent / name, device)
    return weights


def _read_file(path: Path, device: torch.device) -> StateDict:
    try:
        if path.suffix == ".safetensors":
            return _read_shapes(path) if device.type == "meta" else load_file(path)
        place = device if device.type == "meta" else "cpu"
        weights = torch.load(path, map_location=place, weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Fetch the checkpoint again.") from error
    except Exception as error:  # pickle.UnpicklingError and what damaged pickles raise beside it
        raise CheckpointError(f"{path}: is damaged, or holds more than tensors, which is refused.") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors.")
    return weights


def _read_shapes(path: Path) -> StateDict:
    with safe_open(path, "pt") as file:
        return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}  # noqa: SIM118


def _with_head_dim(config: TransformerConfig, weights: StateDict) -> TransformerConfig:
    """The published class ignores `head_dim` in its configuration, so only the weights tell."""
    norm = weights.get("model.layers.0.self_attn.q_norm.weight")
    return config if norm is None else replace(config, head_dim=len(norm))


def _filled(module: Module, weights: StateDict, folder: Path, device: torch.device, dtype: torch.dtype) -> Module:
    """Give a module that was built on the meta device its weights; they are its own afterwards."""
    _check_tensors({name: value.shape for name, value in module.state_dict().items()}, weights, folder)
    module.load_state_dict(weights, assign=True)
    # The module's own `to`: the image tokenizer may keep its decoder in another type.
    return module.to(device, dtype).eval().requires_grad_(False)


def _check_tensors(expected: dict[str, torch.Size], weights: StateDict, folder: Path) -> None:
    problems = [f"missing {name} {tuple(shape)}" for name, shape in expected.items() if name not in weights]
    problems += [f"unexpected {name} {tuple(weights[name].shape)}" for name in weights if name not in expected]
    problems += [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(shape)}"
        for name, shape in expected.items()
        if name in weights and weights[name].shape != shape
    ]
    if problems:
        more = f"\n  and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise CheckpointError(
            f"{folder}: the weights do not fit config.json:\n  "
            + "\n  ".join(problems[:MAX_NAMED])
            + more
            + "\nFetch the checkpoint again, or correct its config.json."
        )


def _folder(checkpoint: Checkpoint) -> Path:
    assert checkpoint.folder is not None, checkpoint.name
    return checkpoint.folder
