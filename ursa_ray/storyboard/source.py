"""Where the values of a storyboard were written, and how they looked there."""

import json
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

MAX_SHOWN_CHARS = 60
NOT_DECIMAL = re.compile(r"[-+]?0[0-9_xb]|.*:")  # YAML 1.1 reads 010 as 8, 0x10 as 16 and 1:30 as 90

KeyPath = tuple[str | int, ...]  # ("shots", 3, "prompt")


def quoted(value: object) -> str:
    """In quotes, on one line, cut to a length that fits into a message, and safe to print."""
    text = str(value)
    short = text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 3]}..."
    return json.dumps(short, ensure_ascii=not short.isprintable())


class Place(NamedTuple):
    line: int
    text: str | None = None  # a scalar as written, without its quotes; None of a list or a mapping
    value: object = None

    @property
    def is_empty(self) -> bool:
        return self.text is not None and self.value is None

    @property
    def is_disguised(self) -> bool:
        """A number that YAML reads as another one than it looks like."""
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return is_number and NOT_DECIMAL.match(self.text or "") is not None

    def in_words(self) -> str:
        """The value as it was written and, where that differs, as YAML read it."""
        match self.value:
            case dict():
                return "a mapping"
            case tuple():
                return "a list" if self.value else "an empty list"
            case None:
                return "empty"
            case str():
                return quoted(self.value)
            case bool() if self.text not in ("true", "false"):
                return f"{self.text}, which YAML reads as {str(self.value).lower()}"
            case date():
                return f"{self.text}, which YAML reads as a date"
            case _ if self.is_disguised:
                return f"{self.text}, which YAML reads as {self.value}"
            case _:
                return f"{self.text}"


@dataclass(frozen=True)
class Source:
    """Where a storyboard was written. Where is no part of what: any two sources are equal."""

    file: str = field(default="storyboard", compare=False)
    folder: Path = field(default=Path(), compare=False)
    places: dict[KeyPath, Place] = field(default_factory=dict, compare=False)
    text: str | None = field(default=None, compare=False)

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that was written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1)).line

    def where(self, path: KeyPath) -> str:
        return f"{self.file}:{self.line(path)}"

    def where_in(self, path: KeyPath, shot: str) -> str:
        """Where `path` is, and in which shot: `film.yaml:12: shots[3] ("dusk")`"""
        return f"{self.where(path)}: {dotted(path[:2])} ({quoted(shot)})"

    def name(self, path: KeyPath) -> str:
        """`shots[3] ("dusk"): beats[1].at`"""
        if not path:
            return "the storyboard"
        if path[0] != "shots" or len(path) == 1:
            return dotted(path)
        shot, below = path[:2], path[2:]
        id_ = self.places.get((*shot, "id"), Place(1)).value
        name = f"{dotted(shot)} ({quoted(id_)})" if isinstance(id_, str) else dotted(shot)
        return f"{name}: {dotted(below)}" if below else name

    def that_is(self, path: KeyPath) -> str:
        """`shots[3] ("dusk"): steps is "many"`"""
        return f"{self.name(path)} is {self.places[path].in_words()}"


def dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
