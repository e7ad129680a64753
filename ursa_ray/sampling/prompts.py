"""Prompts from a file: one a line; blank lines, and those that begin with #, are passed over."""

from pathlib import Path
from typing import NamedTuple

from ursa_ray.errors import OptionError
from ursa_ray.prompt_files import read_prompt_file


class Prompt(NamedTuple):
    text: str
    line: int


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a UTF-8 file with their lines.

    Raises:
        OptionError: it cannot be read, is not such a text, or has no prompt.
    """
    lines = read_prompt_file(path, "a text with one prompt a line").split("\n")
    prompts = [Prompt(line.strip(), number) for number, line in enumerate(lines, 1)]
    found = [prompt for prompt in prompts if prompt.text and not prompt.text.startswith("#")]
    if not found:
        raise OptionError(f"{path}: holds no prompt, expected one a line.")
    return found
