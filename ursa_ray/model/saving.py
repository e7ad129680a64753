"""Our modules into the published folder layout: what `loading` reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor, nn

from ursa_ray.checkpoint.checkpoint import DEFAULTS_FILE
from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer

_PARTS = {
    "transformer": ["diffnext.models.transformers.transformer_ursa", "URSATransformer3DModel"],
    "vae": ["diffnext.models.autoencoders", "AutoencoderVQCosmos3D"],
    "scheduler": ["diffnext.schedulers.scheduling_dfm", "KineticOptimalScheduler"],
    "tokenizer": ["transformers", "Qwen2TokenizerFast"],
}


def save_checkpoint(
    folder: Path,
    transformer: Transformer,
    tokenizer: VideoTokenizer,
    text: Tokenizer,
    pad: str,
    path: PathConfig,
    codebook: Float[Tensor, "k e"],
    defaults: Mapping[str, Any],
) -> None:
    """Write all parts, weights in float16; `defaults` are the fields of `checkpoint.Defaults`."""
    save_part(folder / "transformer", transformer, transformer.config, "URSATransformer3DModel")
    save_part(folder / "vae", tokenizer, tokenizer.config, "AutoencoderVQCosmos3D")
    _write_json(folder / "scheduler" / "scheduler_config.json", asdict(path), "KineticOptimalScheduler")
    torch.save({"path.emb": codebook.cpu().half()}, folder / "scheduler" / "scheduler_model.pth")
    _write_json(folder / "tokenizer" / "tokenizer_config.json", {"pad_token": pad, "tokenizer_class": "Qwen2Tokenizer"})
    text.save(str(folder / "tokenizer" / "tokenizer.json"))
    _write_json(folder / "model_index.json", _PARTS, "URSAPipeline")
    _write_json(folder / DEFAULTS_FILE, defaults)


def save_part(
    folder: Path, module: nn.Module, config: TransformerConfig | VideoTokenizerConfig, class_name: str
) -> None:
    _write_json(folder / "config.json", asdict(config), class_name)
    weights = {name: value.cpu().half().contiguous() for name, value in module.state_dict().items()}
    # save_file would leave a file that only its owner may read.
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(save(weights))


def _write_json(path: Path, content: Mapping[str, Any], class_name: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"_class_name": class_name} if class_name else {}
    path.write_text(json.dumps({**named, **content}, indent=2) + "\n", encoding="utf-8")
