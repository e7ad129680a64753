"""Names of shots, files and runs, from what is asked for: any prompt gives a harmless one, and the same one again.

A shot's name decides its seeds, so it holds nothing of where a prompt stands among others: the same prompt and seed
give the same result alone and in a file of thousands.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict

from ursa_ray.sampling.samples import Sample, Settings

MAX_SLUG_CHARS = 32
NUM_HASH_CHARS = 10


def shot_name(sample: Sample, condition_sha256: str | None) -> str:
    """`a-bear-in-the-fog-3f2a91c07d-0`, at most 64 characters; the last part is the seed."""
    return f"{_named(sample.prompt, [sample.prompt, condition_sha256])}-{sample.seed}"


def file_name(sample: Sample, condition_sha256: str | None, settings: Settings) -> str:
    """`shot_name` and a hash of the settings, so that no result takes another's place; without a suffix."""
    return f"{shot_name(sample, condition_sha256)}-{_hash(asdict(settings))}"


def run_name(prompts: Sequence[str], settings: Settings, file: str | None = None) -> str:
    """Name of a run for these prompts, or for those of a prompts file of this name, which may get more of them.

    With other settings it is another; with another seed or number it is the same, which then gets more results.
    """
    if file is not None:
        return _named(file, asdict(settings))
    return _named(prompts[0], [list(prompts), asdict(settings)])


def _named(text: str, content: object) -> str:
    """A few words of a text, as far as they are plain, and the hash of what it stands for."""
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode().lower()
    slug = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG_CHARS].rstrip("-")
    return f"{slug}-{_hash(content)}" if slug else _hash(content)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:NUM_HASH_CHARS]
