"""Files of prompts, which people give by their paths: regular ones of a bounded size, so that none blocks or fills."""

import stat
from pathlib import Path

from ursa_ray.errors import OptionError

MAX_FILE_BYTES = 16 * 1024**2


def read_prompt_file(path: Path, expected: str) -> str:
    """The text of a UTF-8 file; `expected` says in messages what it should be.

    Raises:
        OptionError: it cannot be read, or is not such a text.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OptionError(f"{path}: is not a regular file, expected {expected}.")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        problem = getattr(error, "strerror", None) or error
        raise OptionError(f"{path}: cannot be read ({problem}), expected {expected}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise OptionError(f"{path}: has more than {MAX_FILE_BYTES // 1024**2} MB, expected {expected}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}:{line}: is not UTF-8 text. Save it as UTF-8.") from None
