"""From a run's folder to a checkpoint in the published layout, as soon as every stage has saved a state."""

import shutil
from pathlib import Path

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.model.saving import save_checkpoint, save_part
from ursa_ray.training.config import Config
from ursa_ray.training.loop import load_mean, newest_state
from ursa_ray.training.stages import from_checkpoint, from_scratch, word_vocabulary
from ursa_ray.training.text import PAD


def export(config: Config, folder: Path) -> int:
    """Write the newest state of what is trained, its mean weights, to `folder`; returns the transformer's step."""
    return _export_new(config, folder) if config.checkpoint is None else _export_fine_tuned(config, folder)


def _export_new(config: Config, folder: Path) -> int:
    model, parts = config.model, from_scratch(config)
    load_mean(config.output / "tokenizer", parts.tokenizer)
    if newest_state(config.output / "decoder") is not None:
        load_mean(config.output / "decoder", parts.tokenizer)
    step = load_mean(config.output / "transformer", parts.transformer)
    defaults = {
        "width": model.width,
        "height": model.height,
        "fps": model.fps,
        "frames": model.frames,
        "overlap": model.overlap,
        "steps": model.steps,
        "guidance": model.guidance,
        "max_prompt_length": model.max_prompt_length,
        "trained_sizes": [[model.width, model.height]],
    }
    words = word_vocabulary()
    save_checkpoint(folder, parts.transformer, parts.tokenizer, words, PAD, parts.path, parts.codebook, defaults)
    return step


def _export_fine_tuned(config: Config, folder: Path) -> int:
    """The checkpoint that the run began with, with the transformer as it is now."""
    assert config.checkpoint is not None
    origin, parts = open_checkpoint(config.checkpoint, fetch=True), from_checkpoint(config)
    assert origin.folder is not None
    step = load_mean(config.output / "transformer", parts.transformer)
    shutil.copytree(origin.folder, folder, ignore=shutil.ignore_patterns("transformer"), dirs_exist_ok=True)
    save_part(folder / "transformer", parts.transformer, parts.transformer.config, "URSATransformer3DModel")
    return step
