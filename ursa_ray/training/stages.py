"""A whole training, stage by stage: video tokenizer, shards of tokens, transformer, and the decoder once more.

Every stage leaves its result in the output folder, and what is done there is not done again.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor

from ursa_ray.checkpoint import TextTokenizer, open_checkpoint
from ursa_ray.checkpoint.config import PathConfig
from ursa_ray.errors import OptionError
from ursa_ray.model.loading import load_codebook, load_transformer, load_visual_tokenizer
from ursa_ray.model.path import MetricPath, build_path
from ursa_ray.model.transformer import Transformer
from ursa_ray.model.video_tokenizer import VideoTokenizer
from ursa_ray.training.captions import VOCABULARY
from ursa_ray.training.clips import drawn_clips
from ursa_ray.training.config import Config, TokenizerTraining
from ursa_ray.training.gates import Sampling, world_gate
from ursa_ray.training.launch import launch
from ursa_ray.training.loop import train
from ursa_ray.training.randomness import LOOKING, Draws
from ursa_ray.training.shards import read_shards
from ursa_ray.training.team import Team
from ursa_ray.training.text import PAD_ID, word_tokenizer
from ursa_ray.training.tokenize import tokenize
from ursa_ray.training.tokenizer import TokenizerTask
from ursa_ray.training.transformer import TokenSet, TransformerTask, initialise

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What is trained, and what it is trained with."""

    transformer: Transformer
    tokenizer: VideoTokenizer
    text: TextTokenizer
    codebook: Float[Tensor, "k e"]
    path: PathConfig
    sampling: Sampling

    def metric_path(self, device: torch.device) -> MetricPath:
        path = build_path(self.path, self.codebook.to(device))
        if not isinstance(path, MetricPath):
            raise OptionError("model.path has no alpha: only the metric path is trained. Give alpha and c.")
        return path


def run(config: Config) -> None:
    """Run all stages of `config` in the processes that it asks for."""
    launch(work, config)


def work(config: Config) -> None:
    """The share of one process."""
    torch.manual_seed(config.seed)
    parts = from_checkpoint(config) if config.checkpoint else from_scratch(config)
    device = torch.device(config.device)
    parts.tokenizer.to(device)
    parts.transformer.to(device)
    if config.tokenizer is not None:
        train_tokenizer(config, config.tokenizer, parts.tokenizer, "tokenizer")
    parts.tokenizer.eval().requires_grad_(False)
    shards = config.output / "shards"
    tokenize(config.shards, config.model, config.seed, parts.tokenizer, shards)
    if config.transformer is not None:
        task = transformer_task(config, parts, shards)
        train(task, config.transformer, config.seed, config.output / "transformer")
    if config.decoder is not None:
        parts.tokenizer.decoder.requires_grad_(True)
        parts.tokenizer.post_quant_conv.requires_grad_(True)
        train_tokenizer(config, config.decoder, parts.tokenizer, "decoder")


def train_tokenizer(config: Config, training: TokenizerTraining, tokenizer: VideoTokenizer, stage: str) -> None:
    """Train what asks for gradients; the mean weights are the tokenizer's afterwards."""
    device, dtype = torch.device(config.device), getattr(torch, config.precision)
    task = TokenizerTask(tokenizer, training, drawn_clips(config.model), device, dtype)
    mean = train(task, training, config.seed, config.output / stage)
    tokenizer.load_state_dict(mean.state_dict())


def transformer_task(config: Config, parts: Parts, shards: Path) -> TransformerTask:
    assert config.transformer is not None
    device, dtype = torch.device(config.device), getattr(torch, config.precision)
    length, path = config.model.max_prompt_length, parts.metric_path(device)
    gate = None
    if Team.here().leads and config.shards.source == "world":
        rng = Draws(config.seed, LOOKING, 1).numpy()
        gate = world_gate(config.model, parts.tokenizer, parts.text, path, parts.sampling, rng)
    tokens = TokenSet.from_examples(list(read_shards(shards)), parts.text, length)
    no_prompt = torch.tensor(parts.text.encode("", length))
    return TransformerTask(
        parts.transformer, config.transformer, path, parts.path.shift, tokens, no_prompt, gate, device, dtype
    )


def from_scratch(config: Config) -> Parts:
    """Random weights from the seed."""
    model, words = config.model, word_vocabulary()
    tokenizer = VideoTokenizer(model.tokenizer_config())
    codebook = metric_codebook(tokenizer)
    transformer = Transformer(model.transformer_config(words.get_vocab_size(), tokenizer.num_codes))
    initialise(transformer, codebook)
    path = model.path_config()
    sampling = Sampling(model.steps, path.shift, model.guidance)
    return Parts(transformer, tokenizer, TextTokenizer(words, PAD_ID), codebook, path, sampling)


def from_checkpoint(config: Config) -> Parts:
    """The weights of a checkpoint, in float32; its transformer will be trained."""
    assert config.checkpoint is not None
    checkpoint, device = open_checkpoint(config.checkpoint, fetch=True), torch.device("cpu")
    assert checkpoint.folder is not None
    tokenizer = load_visual_tokenizer(checkpoint, device, torch.float32)
    if not isinstance(tokenizer, VideoTokenizer):
        raise OptionError(f"checkpoint {config.checkpoint!r} makes images; only video models are trained.")
    return Parts(
        load_transformer(checkpoint, device, torch.float32).train().requires_grad_(True),
        tokenizer,
        TextTokenizer.from_folder(checkpoint.folder / "tokenizer"),
        load_codebook(checkpoint, device),
        checkpoint.path,
        Sampling(checkpoint.defaults.steps, checkpoint.path.shift, checkpoint.defaults.guidance),
    )


def word_vocabulary() -> Tokenizer:
    return word_tokenizer(VOCABULARY)


def metric_codebook(tokenizer: VideoTokenizer) -> Float[Tensor, "k e"]:
    """[code, 1] for every code.

    The metric normalises. Of four numbers many codes then coincide, and with a 1 beside them none do (alpha 1, c 5:
    Pearson correlation of t with the mean distance -0.998).
    """
    codes = tokenizer.quantizer.codebook()
    return torch.cat([codes, torch.ones(len(codes), 1)], dim=1)
