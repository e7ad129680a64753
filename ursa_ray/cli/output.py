"""What a command says: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterable
from typing import Any


def say(text: str) -> None:
    print(text)  # noqa: T201


def say_json(content: dict[str, Any]) -> None:
    say(json.dumps(content, default=str))


def note(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        note(f"warning: {warning}")


def complain(problem: str) -> None:
    note(f"ursa-ray: {problem}")
