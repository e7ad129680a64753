"""A video model for tests whose sizes are theirs: the real network, very small, random weights from a fixed seed.

It has every part of the published folder layout. Its clips are coloured noise: nothing is trained.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.model.saving import save_checkpoint
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


def write_random_checkpoint(folder: Path) -> None:
    text = text_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        transformer = Transformer(transformer_config(text.get_vocab_size()))
        tokenizer = VideoTokenizer(VISUAL)
    save_checkpoint(folder, transformer, tokenizer, text, PAD, PATH, tokenizer.codebook(), DEFAULTS)
