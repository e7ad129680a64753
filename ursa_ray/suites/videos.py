"""VBench, text to video and image to video: suites of clips.

The scorers (github.com/Vchitect/VBench, `vbench/__init__.py`, `vbench2_beta_i2v`) look in one folder for
`PROMPT-NUMBER.mp4`, with the prompt as the suite spells it and numbers from 0 to 4. Of prompts of the dimension
`temporal_flickering` VBench asks for 25 clips, from which its `static_filter.py` takes 5 that stand still.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ursa_ray.errors import OptionError
from ursa_ray.suites.suite import Preset, Result, Suite, file_name, read_lines, read_objects

NEGATIVE_PROMPT = "worst quality, low quality, inconsistent motion, static, still, blurry, jittery, distorted, ugly"

VIDEOS = Preset("BAAI/URSA-1.7B-FSQ320", num_samples=5, motion=9.0, negative_prompt=NEGATIVE_PROMPT)

FLICKER, NUM_FLICKER = "temporal_flickering", 25


@dataclass(frozen=True)
class Asked:
    """One prompt: `name` is how the scorer spells it, `text` what clips are made of, `where` that is from."""

    name: str
    text: str
    where: str
    dimensions: tuple[str, ...] = ()
    num_samples: int = VIDEOS.num_samples
    image: Path | None = None


def read_vbench(
    prompts: Path, rewritten: Path | None = None, dimensions: Sequence[str] = (), num_samples: int | None = None
) -> Suite:
    """VBench of its `VBench_full_info.json`, or of a file with a prompt a line such as `all_dimension.txt`.

    `rewritten` has for each entry or line another prompt to make the clips of, as `all_dimension_longer.txt` has for
    either file; clips are named by the short one. `dimensions` takes prompts of these alone. Only the JSON file tells
    them, so that of the other one flicker has no more clips than the rest.

    Raises:
        OptionError: a file cannot be read, or says something else; no prompt is of these dimensions.
    """
    if prompts.suffix == ".json":
        read = _entries(prompts, {})
        asked = [replace(one, num_samples=NUM_FLICKER) if FLICKER in one.dimensions else one for one, _ in read]
    elif dimensions:
        raise OptionError(f"{prompts}: tells no dimensions. Give VBench_full_info.json.")
    else:
        asked = [Asked(file_name(line, where), line, where) for line, where in _lines(prompts)]
    files = {"prompts": prompts}
    if rewritten is not None:
        asked, files = _rewritten(asked, rewritten, prompts), files | {"rewritten": rewritten}
    return _suite("vbench", asked, files, dimensions, num_samples)


def read_vbench_i2v(
    prompts: Path, images: Path, dimensions: Sequence[str] = (), num_samples: int | None = None
) -> Suite:
    """VBench-I2V of its `vbench2_i2v_full_info.json` and a folder of its cropped images, 8-5 for 512 x 320.

    Raises:
        OptionError: a file cannot be read, or says something else; an image is missing.
    """
    read = _entries(prompts, {"image_name": str})
    asked = [replace(one, image=images / file_name(entry["image_name"], one.where)) for one, entry in read]
    suite = _suite("vbench-i2v", asked, {"prompts": prompts, "images": images}, dimensions, num_samples)
    missing = dict.fromkeys(result.image for result in suite.results if result.image and not result.image.is_file())
    if missing:
        raise OptionError(
            f"{next(iter(missing))}: there is no such image ({len(missing)} missing in all). Give the folder crop/8-5."
        )
    return suite


def _entries(path: Path, wanted: dict[str, type]) -> Iterator[tuple[Asked, dict[str, Any]]]:
    for number, entry in enumerate(read_objects(path, {"prompt_en": str, "dimension": list} | wanted)):
        where = f"{path}: entry {number}"
        name = file_name(entry["prompt_en"], where)
        yield Asked(name, name, where, tuple(map(str, entry["dimension"]))), entry


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if line.startswith(("{", "[")):
            raise OptionError(f"{where}: is JSON, expected a prompt. Give all_dimension.txt.")
        yield line, where


def _rewritten(asked: Sequence[Asked], path: Path, prompts: Path) -> list[Asked]:
    texts = list(_lines(path))
    if len(texts) != len(asked):
        raise OptionError(f"{path}: has {len(texts)} prompts, expected the {len(asked)} of {prompts}.")
    return [replace(one, text=text, where=where) for one, (text, where) in zip(asked, texts, strict=True)]


def _suite(
    name: str, asked: Sequence[Asked], files: dict[str, Path], dimensions: Sequence[str], num_samples: int | None
) -> Suite:
    """Of the prompts of one of the dimensions; one that is there twice, as two are in VBench, is sampled once."""
    known = {dimension for one in asked for dimension in one.dimensions}
    if unknown := [dimension for dimension in dimensions if dimension not in known]:
        raise OptionError(f"{files['prompts']}: has no dimension {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
    chosen = {one.name: one for one in asked if not dimensions or set(dimensions) & set(one.dimensions)}
    results = (
        Result(f"{one.name}-{sample}.mp4", one.text, (sample,), one.image, one.where)
        for one in chosen.values()
        for sample in range(num_samples or one.num_samples)
    )
    return Suite(name, "video", VIDEOS, tuple(results), files, dimensions=tuple(dimensions), number=num_samples)
