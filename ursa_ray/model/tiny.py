"""Make the built-in checkpoint `tiny`: the real network, very small, with random weights from a fixed seed.

    python -m ursa_ray.model.tiny FOLDER

It has every part of a released video model in the published folder layout, so that tests and the demo run on a CPU in
seconds what a GPU runs with the released weights. Its films are coloured noise: nothing is trained.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer

SEED = 20251024
PAD, BEGIN_OF_VISUAL, END_OF_VISUAL = "<|endoftext|>", "<|vision_start|>", "<|vision_end|>"

VISUAL = VideoTokenizerConfig(
    block_out_channels=(16, 32, 32, 32),
    layers_per_block=1,
    latent_channels=16,
    patch_size=2,
    sample_frames=17,
    levels=(8, 5, 5, 5),
)
NUM_CODES = 8 * 5 * 5 * 5

PATH = PathConfig(alpha=1.0, c=5.0, shift=3.0)

DEFAULTS = {
    "width": 96,
    "height": 64,
    "fps": 12,
    "frames": 17,
    "overlap": 5,
    "steps": 10,
    "max_prompt_length": 64,
    "trained_sizes": [[96, 64]],
}

# Enough English for a byte-level vocabulary whose tokens are about a syllable long.
CORPUS = """motion=9.0, a lone grizzly bear walks through a misty forest at dawn, sunlight catching its fur.
motion=5.0, the bear stops and lifts its head. the bear wades into a shallow river. a red square moves
slowly to the right over a dark blue background. a small green circle falls quickly. a large yellow
triangle rises to the left. white snow, black night, orange evening light, a purple flower in the wind.
the camera follows, turns, comes closer and rests. worst quality, low quality, inconsistent motion,
static, still, blurry, jittery, distorted, ugly. people, houses, a street in the rain, waves on the sea,
mountains and clouds, a bird flying over water, a child running with a kite."""


def text_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[PAD, BEGIN_OF_VISUAL, END_OF_VISUAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    return tokenizer


def transformer_config(num_text: int) -> TransformerConfig:
    return TransformerConfig(
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=num_text + NUM_CODES,
        lm_vocab_size=num_text,
        lm_head_size=NUM_CODES,
        bov_token_id=1,
    )


def write_tiny(folder: Path) -> None:
    """Write the checkpoint; with this torch, the same weights up to float16 rounding on every machine."""
    torch.manual_seed(SEED)
    text = text_tokenizer()
    config = transformer_config(text.get_vocab_size())
    _write_part(folder / "transformer", Transformer(config), config, "URSATransformer3DModel")
    tokenizer = VideoTokenizer(VISUAL)
    _write_part(folder / "vae", tokenizer, VISUAL, "AutoencoderVQCosmos3D")
    _write_json(folder / "scheduler" / "scheduler_config.json", asdict(PATH), "KineticOptimalScheduler")
    torch.save({"path.emb": tokenizer.codebook().half()}, folder / "scheduler" / "scheduler_model.pth")
    (folder / "tokenizer").mkdir(exist_ok=True)
    text.save(str(folder / "tokenizer" / "tokenizer.json"))
    _write_json(
        folder / "tokenizer" / "tokenizer_config.json",
        {"pad_token": PAD, "tokenizer_class": "Qwen2Tokenizer"},
    )
    _write_json(
        folder / "model_index.json",
        {
            "transformer": ["diffnext.models.transformers.transformer_ursa", "URSATransformer3DModel"],
            "vae": ["diffnext.models.autoencoders", "AutoencoderVQCosmos3D"],
            "scheduler": ["diffnext.schedulers.scheduling_dfm", "KineticOptimalScheduler"],
            "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        },
        "URSAPipeline",
    )
    _write_json(folder / "ursa_ray.json", DEFAULTS)


def _write_part(
    folder: Path, module: nn.Module, config: TransformerConfig | VideoTokenizerConfig, class_name: str
) -> None:
    _write_json(folder / "config.json", asdict(config), class_name)
    weights = {name: value.half().contiguous() for name, value in module.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")


def _write_json(path: Path, content: dict, class_name: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"_class_name": class_name} if class_name else {}
    path.write_text(json.dumps(named | content, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    write_tiny(parser.parse_args().folder)
