"""A model on disk or on the hub: where it is, its sizes, its defaults and the hash of its weights.

Needs no torch, so that planning stays quick; `ursa_ray.model` loads the weights.
"""

from ursa_ray.checkpoint.checkpoint import Checkpoint, Defaults, default_overlap, open_checkpoint
from ursa_ray.checkpoint.text import TextTokenizer

__all__ = ["Checkpoint", "Defaults", "TextTokenizer", "default_overlap", "open_checkpoint"]
