"""From what pydantic found to one line per problem, in the words of the storyboard."""

import difflib
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ursa_ray.storyboard.schema import (
    MAX_PROBLEMS,
    Beat,
    Output,
    Part,
    PartError,
    Segment,
    Settings,
    Shot,
    Storyboard,
    Video,
)
from ursa_ray.storyboard.source import KeyPath, Source, quoted

PARTS: dict[str, type[Part]] = {
    "video": Video,
    "defaults": Settings,
    "segment": Segment,
    "shots": Shot,
    "beats": Beat,
    "output": Output,
}


class Problem(NamedTuple):
    path: KeyPath
    text: str


def in_lines(problems: list[Problem], source: Source) -> str:
    """The first problem of every key, by line."""
    first: dict[KeyPath, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    ordered = sorted(first.values(), key=lambda problem: source.line(problem.path))
    lines = list(dict.fromkeys(f"{source.where(path)}: {text}" for path, text in ordered))
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"{source.file}: and {len(lines) - MAX_PROBLEMS:,} more problems"]
    return "\n".join(lines)


def explain(error: ValidationError, source: Source) -> list[Problem]:
    details = error.errors(include_url=False, include_input=False)
    return [problem for detail in details for problem in _explain(detail, source)]


def _explain(detail: ErrorDetails, source: Source) -> Iterator[Problem]:
    path = detail["loc"]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, PartError):
        for below, text in cause.found:
            key = (*path, *below)
            yield Problem(key, f"{source.name(key[:-1])} {text}")
    elif detail["type"] == "missing":
        yield Problem(path, f"{source.name(path[:-1])} has no {path[-1]}, expected {_expected(path)}")
    elif detail["type"] == "extra_forbidden":
        yield Problem(path, f"{source.name(path[:-1])} has an unknown key {quoted(path[-1])}. {_known(path)}")
    else:
        expected = f"{cause or f'expected {_expected(path)}'}"
        text = source.places[path].text
        quote = f"; quote it: {quoted(text)}" if text and detail["type"] == "string_type" else ""
        yield Problem(path, f"{source.that_is(path)}, {expected}{quote}")


def misread(source: Source) -> Iterator[Problem]:
    """What the schema lets pass: keys without a value, numbers that YAML read otherwise than they look."""
    for path, place in source.places.items():
        if place.is_empty:
            yield Problem(path, f"{source.that_is(path)}; give it a value, or leave the line out")
        elif place.is_disguised:
            yield Problem(path, f"{source.that_is(path)}; write {place.value}")


def _expected(path: KeyPath) -> str:
    key = path[-1]
    return "a mapping of settings" if isinstance(key, int) else f"{_siblings(path)[key].description}"


def _known(path: KeyPath) -> str:
    keys = list(_siblings(path))
    close = difflib.get_close_matches(str(path[-1]), keys, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(keys)}."


def _siblings(path: KeyPath) -> dict[str, FieldInfo]:
    """The keys that may stand where the last of `path` stands."""
    owners = [part for part in path[:-1] if isinstance(part, str)]
    part = PARTS[owners[-1]] if owners else Storyboard
    return {field.alias or name: field for name, field in part.model_fields.items()}
