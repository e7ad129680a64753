"""What a command says: results on standard output, everything else on standard error."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

MAX_WARNINGS = 5


def say(text: str) -> None:
    print(text)  # noqa: T201


def say_json(content: dict[str, Any]) -> None:
    say(json.dumps(content, default=str))


def note(words: str) -> None:
    _note("info", words)


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _note("warning", warning)


def few(warnings: Sequence[str]) -> list[str]:
    """The first of them: more say the same of other prompts."""
    rest = len(warnings) - MAX_WARNINGS
    return [*warnings[:MAX_WARNINGS], *([f"and {rest} more"] if rest > 0 else [])]


def complain(problem: str) -> None:
    _note("error", problem)


class Warnings(logging.Handler):
    """Warnings of the package's own loggers, told as those of commands are."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        _note("warning", record.getMessage())


def hear_warnings() -> None:
    logger = logging.getLogger("ursa_ray")
    if not any(isinstance(handler, Warnings) for handler in logger.handlers):
        logger.addHandler(Warnings())


def write_notes_with(write: Callable[[str, str], None] | None = None) -> None:
    """Hand the level (info, warning, error) and the words of notes to a log, or, as at first, print them."""
    global _note
    _note = write or _print_note


def _print_note(level: str, words: str) -> None:
    prefix = {"info": "", "warning": "warning: ", "error": "ursa-ray: "}[level]
    print(f"{prefix}{words}", file=sys.stderr, flush=True)  # noqa: T201


_note = _print_note
