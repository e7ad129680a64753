"""VBench, text to video and image to video: suites of clips.

The scorers (github.com/Vchitect/VBench, `vbench/__init__.py`, `vbench2_beta_i2v`) look in one folder for
`PROMPT-NUMBER.mp4`, with the prompt as the suite spells it and numbers from 0 to 4. Of prompts of the dimension
`temporal_flickering` VBench asks for 25 clips, from which its `static_filter.py` takes 5 that stand still.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ursa_ray.errors import OptionError
from ursa_ray.suites.suite import Preset, Result, Suite, file_name, read_lines, read_objects

NEGATIVE_PROMPT = "worst quality, low quality, inconsistent motion, static, still, blurry, jittery, distorted, ugly"

# The published sampling writes clips with imageio as it is by default: quality 5, which imageio-ffmpeg makes crf 25.
VIDEOS = Preset("BAAI/URSA-1.7B-FSQ320", num_samples=5, motion=9.0, negative_prompt=NEGATIVE_PROMPT, crf=25)
# Nobody has published how clips of images were sampled; the guide of VBench-I2V writes them with crf 10.
VIDEOS_OF_IMAGES = replace(VIDEOS, crf=10)

VBENCH_SCORERS = (
    "python static_filter.py --videos_path {out}    # before temporal_flickering",
    "python evaluate.py --videos_path {out} --dimension DIMENSION",
)
VBENCH_I2V_SCORERS = ("python evaluate_i2v.py --videos_path {out} --dimension DIMENSION --ratio 8-5",)

# Of VBench's three published rewritings 96 to 98 % of lines have such a word in common with their prompt; with a line
# off 56 to 63 % have, and in another order 23 %.
WORD = re.compile(r"[^\W\d_]{4,}")
MIN_SHARE = 0.8
LONGER = "_longer.txt"

FLICKER, NUM_FLICKER = "temporal_flickering", 25


@dataclass(frozen=True)
class VideoPrompt:
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

    `rewritten` has other prompts to make the clips of, which are named by the short ones: a line for each entry or
    line, in the same order, as VBench's `all_dimension_longer.txt` has for either file; or it is a folder of pairs such
    as `color.txt` and `color_longer.txt`, as the published repository has them, which go by what they say.
    `dimensions` takes prompts of these alone. Only the JSON file tells them, so that of the other one flicker has no
    more clips than the rest.

    Raises:
        OptionError: a file cannot be read, or says something else; no prompt is of these dimensions; rewritten prompts
            are too few, or do not look like those of `prompts`.
    """
    if prompts.suffix == ".json":
        read = _entries(prompts, {})
        asked = [replace(one, num_samples=NUM_FLICKER) if FLICKER in one.dimensions else one for one, _ in read]
    elif dimensions:
        raise OptionError(f"{prompts}: tells no dimensions. Give VBench_full_info.json.")
    else:
        asked = [VideoPrompt(file_name(line, where), line, where) for line, where in _lines(prompts)]
    files = {"prompts": prompts}
    if rewritten is not None:
        files["rewritten"] = rewritten
        is_folder = rewritten.is_dir()
        asked = _rewritten_by_text(asked, rewritten) if is_folder else _rewritten_by_line(asked, rewritten, prompts)
    return _suite("vbench", VIDEOS, asked, files, VBENCH_SCORERS, dimensions, num_samples)


def read_vbench_i2v(
    prompts: Path, images: Path, dimensions: Sequence[str] = (), num_samples: int | None = None
) -> Suite:
    """VBench-I2V of its `vbench2_i2v_full_info.json` and a folder of its cropped images, 8-5 for 512 x 320.

    Raises:
        OptionError: a file cannot be read, or says something else; an image is missing.
    """
    read = _entries(prompts, {"image_name": str})
    asked = [replace(one, image=images / file_name(entry["image_name"], one.where)) for one, entry in read]
    files = {"prompts": prompts, "images": images}
    suite = _suite("vbench-i2v", VIDEOS_OF_IMAGES, asked, files, VBENCH_I2V_SCORERS, dimensions, num_samples)
    missing = dict.fromkeys(result.image for result in suite.results if result.image and not result.image.is_file())
    if missing:
        raise OptionError(
            f"{next(iter(missing))}: there is no such image ({len(missing)} missing in all). Give the folder crop/8-5."
        )
    return suite


def _entries(path: Path, wanted: dict[str, type]) -> Iterator[tuple[VideoPrompt, dict[str, Any]]]:
    for number, entry in enumerate(read_objects(path, {"prompt_en": str, "dimension": list} | wanted)):
        where = f"{path}: entry {number}"
        name = file_name(entry["prompt_en"], where)
        yield VideoPrompt(name, name, where, tuple(map(str, entry["dimension"]))), entry


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if line.startswith(("{", "[")):
            raise OptionError(f"{where}: is JSON, expected a prompt. Give all_dimension.txt.")
        yield line, where


def _rewritten_by_line(asked: Sequence[VideoPrompt], path: Path, prompts: Path) -> list[VideoPrompt]:
    texts = list(_lines(path))
    if len(texts) != len(asked):
        raise OptionError(f"{path}: has {len(texts)} prompts, expected the {len(asked)} of {prompts}.")
    rewritten = [replace(one, text=text, where=where) for one, (text, where) in zip(asked, texts, strict=True)]
    others = [one for one in rewritten if not _share_a_word(one.name, one.text)]
    if len(asked) - len(others) < MIN_SHARE * len(asked):
        raise OptionError(
            f"{others[0].where}: shares no word with {others[0].name[:60]!r}, and {len(others)} of {len(asked)} lines "
            f"share none with theirs: they are in another order than those of {prompts}, or of other prompts. Give "
            f"VBench's own all_dimension_longer.txt, or a folder of pairs such as color.txt and color{LONGER}."
        )
    return rewritten


def _rewritten_by_text(asked: Sequence[VideoPrompt], folder: Path) -> list[VideoPrompt]:
    texts: dict[str, tuple[str, str]] = {}
    for longer in sorted(folder.glob(f"*{LONGER}")):
        short = longer.with_name(f"{longer.name.removesuffix(LONGER)}.txt")
        names, found = list(_lines(short)), list(_lines(longer))
        if len(names) != len(found):
            raise OptionError(f"{longer}: has {len(found)} prompts, expected the {len(names)} of {short}.")
        texts |= {name: text for (name, _), text in zip(names, found, strict=True)}
    missing = [one for one in asked if one.name not in texts]
    if missing:
        raise OptionError(
            f"{folder}: has no rewritten prompt for {missing[0].name[:60]!r} of {missing[0].where} ({len(missing)} of "
            f"{len(asked)} are missing). Give a folder of pairs such as color.txt and color{LONGER}."
        )
    return [replace(one, text=texts[one.name][0], where=texts[one.name][1]) for one in asked]


def _share_a_word(prompt: str, rewritten: str) -> bool:
    words = set(WORD.findall(prompt.lower()))
    return not words or bool(words & set(WORD.findall(rewritten.lower())))


def _suite(
    name: str,
    preset: Preset,
    asked: Sequence[VideoPrompt],
    files: dict[str, Path],
    scorers: tuple[str, ...],
    dimensions: Sequence[str],
    num_samples: int | None,
) -> Suite:
    """Of the prompts of one of the dimensions; one that is there twice, as two are in VBench, is sampled once."""
    known = {dimension for one in asked for dimension in one.dimensions}
    if unknown := [dimension for dimension in dimensions if dimension not in known]:
        raise OptionError(f"{files['prompts']}: has no dimension {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
    chosen: dict[str, VideoPrompt] = {}
    for one in asked:
        if not dimensions or set(dimensions) & set(one.dimensions):
            before = chosen.get(one.name, one)
            chosen[one.name] = replace(one, num_samples=max(one.num_samples, before.num_samples))
    results = (
        Result(f"{one.name}-{sample}.mp4", one.text, (sample,), one.image, one.where)
        for one in chosen.values()
        for sample in range(num_samples or one.num_samples)
    )
    return Suite(
        name, "video", preset, tuple(results), files, scorers, dimensions=tuple(dimensions), number=num_samples
    )
