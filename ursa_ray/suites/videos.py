"""VBench, text to video and image to video: suites of clips.

The scorers (github.com/Vchitect/VBench, `vbench/__init__.py`, `vbench2_beta_i2v`) look in one folder for
`PROMPT-NUMBER.mp4`, with the prompt as the suite spells it and numbers from 0 to 4. Of prompts of the dimension
`temporal_flickering` VBench asks for 25 clips, from which its `static_filter.py` takes 5 that stand still.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ursa_ray.errors import OptionError
from ursa_ray.suites.suite import Preset, Result, Suite, file_name, read_lines, read_objects

NEGATIVE_PROMPT = "worst quality, low quality, inconsistent motion, static, still, blurry, jittery, distorted, ugly"

VIDEOS = Preset("BAAI/URSA-1.7B-FSQ320", num_samples=5, motion=9.0, negative_prompt=NEGATIVE_PROMPT)

FLICKER, NUM_FLICKER = "temporal_flickering", 25


@dataclass(frozen=True)
class Asked:
    """One prompt: `name` is how the scorer spells it, `text` what clips are made of."""

    name: str
    text: str
    num_samples: int = VIDEOS.num_samples
    image: Path | None = None


def read_vbench(
    prompts: Path, rewritten: Path | None = None, dimensions: Sequence[str] = (), num_samples: int | None = None
) -> Suite:
    """VBench of its `VBench_full_info.json`, or of a file with a prompt a line such as `all_dimension.txt`.

    `rewritten` has for each line of such a file another prompt to make the clips of, as `all_dimension_longer.txt`
    has; clips are named by the short one. `dimensions` takes prompts of these alone; only the JSON file tells them.

    Raises:
        OptionError: a file cannot be read, or says something else; no prompt is of these dimensions.
    """
    if prompts.suffix == ".json":
        if rewritten is not None:
            raise OptionError(f"{rewritten}: rewritten prompts go by line. Give them with all_dimension.txt.")
        asked = (
            Asked(name, name, NUM_FLICKER if FLICKER in entry["dimension"] else VIDEOS.num_samples)
            for _, name, entry in _entries(prompts, {}, dimensions)
        )
    elif dimensions:
        raise OptionError(f"{prompts}: tells no dimensions. Give VBench_full_info.json.")
    else:
        asked = _of_lines(prompts, rewritten)
    files = (prompts,) if rewritten is None else (prompts, rewritten)
    return Suite("vbench", "video", VIDEOS, tuple(_results(asked, num_samples)), files)


def read_vbench_i2v(
    prompts: Path, images: Path, dimensions: Sequence[str] = (), num_samples: int | None = None
) -> Suite:
    """VBench-I2V of its `vbench2_i2v_full_info.json` and a folder of its cropped images, 8-5 for 512 x 320.

    Raises:
        OptionError: a file cannot be read, or says something else; an image is missing.
    """
    asked = [
        Asked(name, name, image=images / file_name(entry["image_name"], where))
        for where, name, entry in _entries(prompts, {"image_name": str}, dimensions)
    ]
    missing = [one.image for one in asked if one.image is not None and not one.image.is_file()]
    if missing:
        raise OptionError(
            f"{missing[0]}: there is no such image; {len(missing)} are missing. Give the folder crop/8-5."
        )
    return Suite("vbench-i2v", "video", VIDEOS, tuple(_results(asked, num_samples)), (prompts,))


def _entries(
    path: Path, wanted: dict[str, type], dimensions: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where it is, the prompt and the entry, of all that are of one of the dimensions."""
    entries = list(read_objects(path, {"prompt_en": str, "dimension": list} | wanted))
    known = {dimension for entry in entries for dimension in entry["dimension"]}
    if unknown := [dimension for dimension in dimensions if dimension not in known]:
        raise OptionError(f"{path}: has no dimension {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
    for number, entry in enumerate(entries):
        if not dimensions or set(dimensions) & set(entry["dimension"]):
            where = f"{path}: entry {number}"
            yield where, file_name(entry["prompt_en"], where), entry


def _of_lines(path: Path, rewritten: Path | None) -> Iterator[Asked]:
    names = [file_name(line, f"{path}:{number}") for number, line in read_lines(path)]
    texts = names if rewritten is None else [line for _, line in read_lines(rewritten)]
    if len(texts) != len(names):
        raise OptionError(f"{rewritten}: has {len(texts)} prompts, expected the {len(names)} of {path}.")
    return (Asked(name, text) for name, text in zip(names, texts, strict=True))


def _results(asked: Iterable[Asked], num_samples: int | None) -> Iterator[Result]:
    """A result for each sample; a prompt that is there twice, as two are in VBench, is sampled once."""
    for one in {one.name: one for one in asked}.values():
        for sample in range(num_samples or one.num_samples):
            yield Result(f"{one.name}-{sample}.mp4", one.text, (sample,), one.image)
