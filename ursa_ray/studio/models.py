"""Models to choose from: the built-in one, those of the local Hugging Face cache, and the released ones."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ursa_ray.checkpoint import Checkpoint, open_checkpoint
from ursa_ray.checkpoint.config import VideoTokenizerConfig
from ursa_ray.checkpoint.hub import TINY_NAME, hub_folder, local_folder
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.errors import CheckpointError
from ursa_ray.studio.asked import Kind


def models(kind: Kind) -> list[tuple[str, str]]:
    """(label, name) of those that make it: all make images."""
    here = [model.name for model in _cached() if kind == "image" or model.makes_video]
    released = [
        name
        for name, model in RELEASED.items()
        if name not in here and (kind == "image" or isinstance(model.tokenizer, VideoTokenizerConfig))
    ]
    return [
        *((name, name) for name in (TINY_NAME, *here)),
        *((f"{name} (is fetched first)", name) for name in released),
    ]


def is_fetched_first(name: str) -> bool:
    """Whether a render would download it."""
    try:
        return local_folder(name, None) is None and hub_folder(name, fetch=False) is None
    except CheckpointError:
        return False  # the render says what is wrong


def _cached() -> Iterator[Checkpoint]:
    from huggingface_hub.constants import HF_HUB_CACHE  # 0.3 s: not before it is needed

    for folder in sorted(Path(HF_HUB_CACHE).glob("models--*--*")):
        _, owner, name = folder.name.split("--", 2)
        with suppress(CheckpointError):  # a model of another kind, or one that has not arrived whole
            if (model := open_checkpoint(f"{owner}/{name}")).folder is not None:
                yield model
