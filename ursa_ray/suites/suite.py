"""What a benchmark wants sampled: which prompts, how often, and under which names its scorer reads the results."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ursa_ray.errors import OptionError
from ursa_ray.prompt_files import read_prompt_file

_KINDS = {str: "a text", list: "a list", int: "a whole number"}


@dataclass(frozen=True)
class Preset:
    """What the published figures were made with; size, frames and steps are those of the model.

    Attributes:
        num_samples: of each prompt.
        motion: written into a video's prompt.
        crf: of a video, 0 is best.
    """

    model: str
    num_samples: int
    guidance: float = 7.0
    motion: float | None = None
    negative_prompt: str = ""
    crf: int | None = None


@dataclass(frozen=True)
class Result:
    """One file that a scorer reads.

    Attributes:
        path: where it lies in the folder that the scorer is given.
        prompt: what it is made of.
        numbers: which samples of its prompt are in it: one, or the four of a grid of 2 x 2.
        image: the first frame of a video.
        where: the prompt is from, for messages: a file, and a line or an entry of it.
    """

    path: str
    prompt: str
    numbers: tuple[int, ...]
    image: Path | None = None
    where: str = ""


@dataclass(frozen=True)
class Suite:
    """A benchmark with its prompts read.

    `notes` are files that its scorer reads beside the results: path to text. `files` are those that it was read from,
    by what they are to it; `dimensions` and `number`, samples of each prompt, are what was asked for, if anything.
    `scorers` are the scorer's own commands, in its own folder, with `{out}` for the results' and `{width}` for theirs.
    """

    name: str
    kind: Literal["image", "video"]
    preset: Preset
    results: tuple[Result, ...]
    files: dict[str, Path]
    scorers: tuple[str, ...]
    notes: dict[str, str] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    number: int | None = None

    @property
    def num_prompts(self) -> int:
        return len({(result.prompt, result.image) for result in self.results})

    @property
    def has_grids(self) -> bool:
        return any(len(result.numbers) > 1 for result in self.results)

    @property
    def num_samples(self) -> int:
        return sum(len(result.numbers) for result in self.results)


def read_text(path: Path) -> str:
    """The text of a file of prompts.

    Raises:
        OptionError: it cannot be read, or is no text.
    """
    return read_prompt_file(path, "the benchmark's own file of prompts")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, stripped, each with its number from 1.

    Raises:
        OptionError: the file cannot be read, or has none.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise OptionError(f"{path}: has no prompts.")
    return lines


def read_objects(path: Path, wanted: Mapping[str, type]) -> Iterator[dict[str, Any]]:
    """Objects of a JSON list, each with its `wanted` keys of these types.

    Raises:
        OptionError: with the number of the entry that is not such an object.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise OptionError(f"{path}:{error.lineno}: {error.msg}, expected a JSON list.") from error
    if not isinstance(content, list) or not content:
        raise OptionError(f"{path}: expected a JSON list of objects with {', '.join(wanted)}.")
    for number, entry in enumerate(content):
        yield checked(entry, wanted, f"{path}: entry {number}")


def checked(entry: object, wanted: Mapping[str, type], where: str) -> dict[str, Any]:
    """`entry`, an object with the `wanted` keys of these types.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(entry, dict):
        raise OptionError(f"{where}: {json.dumps(entry)[:40]}, expected an object with {', '.join(wanted)}.")
    for key, kind in wanted.items():
        if not isinstance(entry.get(key), kind):
            raise OptionError(f"{where}: {key} is {entry.get(key)!r}, expected {_KINDS[kind]}.")
    return entry


def file_name(text: str, where: str) -> str:
    """`text`, which can be the name of a file as it is.

    Raises:
        OptionError: it cannot, so that no scorer would find it.
    """
    if not text or "/" in text or "\0" in text or text in (".", "..") or len(text.encode()) > 240:
        raise OptionError(f"{where}: {text[:60]!r} cannot name a file, as the scorer expects.")
    return text
