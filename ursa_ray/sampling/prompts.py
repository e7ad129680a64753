"""Prompts from a file: one a line; blank lines, and those that begin with #, are passed over."""

import stat
from pathlib import Path
from typing import NamedTuple

from ursa_ray.errors import OptionError

MAX_FILE_BYTES = 16 * 1024**2


class Prompt(NamedTuple):
    text: str
    line: int


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a UTF-8 file with their lines.

    Raises:
        OptionError: it cannot be read, is not such a text, or has no prompt.
    """
    lines = _read_text(path).split("\n")
    prompts = [Prompt(line.strip(), number) for number, line in enumerate(lines, 1)]
    found = [prompt for prompt in prompts if prompt.text and not prompt.text.startswith("#")]
    if not found:
        raise OptionError(f"{path}: holds no prompt, expected one a line.")
    return found


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OptionError(f"{path}: is not a regular file, expected a text with one prompt a line.")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise OptionError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if len(content) > MAX_FILE_BYTES:
        raise OptionError(f"{path}: has more than {MAX_FILE_BYTES // 1024**2} MB, expected one prompt a line.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}:{line}: is not UTF-8 text. Save it as UTF-8.") from None
