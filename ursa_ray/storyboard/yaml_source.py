"""YAML into plain values that remember where they were written.

A storyboard needs one document of mappings, lists and scalars. What else YAML offers is refused: anchors (a
few lines can expand to gigabytes), tags, merge keys, keys that are not text, a key written twice. The loader
is the pure-Python one, since the C loader segfaults on deep nesting.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import yaml

from ursa_ray.errors import StoryboardError
from ursa_ray.storyboard.source import KeyPath, Place, Source, quoted

MAX_DEPTH = 20
MAX_NODES = 50_000  # read in about a second; 256 KB of shots hold fewer
MAX_NUMBER_CHARS = 64  # longer ones cost int() quadratic time, and cannot be printed
SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}
STR_TAG = "tag:yaml.org,2002:str"
KEY = re.compile(r"\s*(- +)?[a-z_]+\s*")
MERGE_TAG = "tag:yaml.org,2002:merge"

STRAY_COLON = "mapping values are not allowed here"
NOT_IN_LINE = (
    "this key is not indented like those it belongs to; if it is no key but text that goes on, quote all of that text"
)

# PyYAML's words for the mistakes that people make, and ours.
PLAINER = {
    STRAY_COLON: "a colon cannot stand here; quote text that contains a colon",
    "expected <block end>": "this line is not indented like the lines it belongs to",
    "found character '\\t'": "a tab cannot stand here; indent with spaces",
    "but found another document": "a second document starts here; a storyboard is one document",
}


def read_yaml(text: str, file: str, folder: Path) -> tuple[object, Source]:
    """Plain values (lists as tuples, None for an empty file) and where each was written."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = quoted(text[error.position])
        raise StoryboardError(f"{file}:{line}: holds the character {character}, expected text") from None
    try:
        node = loader.get_single_node()
        data = None if node is None else loader.plain(node, (), node.start_mark.line + 1)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise StoryboardError(f"{file}:{line}: {_in_plain_words(error)}") from None
    except (ValueError, OverflowError):  # PyYAML lets these out, for instance of "\UFFFFFFFF"
        raise StoryboardError(f"{file}:{loader.line + 1}: not YAML: an escape out of range") from None
    return data, Source(file, folder, loader.places, text)


def _in_plain_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    if isinstance(error, _Refused):
        return problem
    if problem.startswith(STRAY_COLON) and _begins_a_line(error.problem_mark):
        return NOT_IN_LINE
    plainer = [words for start, words in PLAINER.items() if problem.startswith(start)]
    return plainer[0] if plainer else f"not YAML: {problem}"


def _begins_a_line(mark: yaml.Mark | None) -> bool:
    """Whether all that stands before a mark in its line is one word, as before the colon of a key."""
    if mark is None or mark.buffer is None:
        return False
    before = mark.buffer[mark.pointer - mark.column : mark.pointer]
    return KEY.fullmatch(before) is not None


class _Refused(yaml.MarkedYAMLError):
    pass


def _refuse(problem: str, mark: yaml.Mark) -> Never:
    raise _Refused(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str):
        super().__init__(text)
        self.depth = 0
        self.num_nodes = 0
        self.places: dict[KeyPath, Place] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if event.anchor is not None:
            _refuse("anchors (&) and aliases (*) are not read; write it out, or quote it", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag in SCALAR_TAGS):
            _refuse("tags (!) are not read; leave it out, or quote the value", event.start_mark)
        if self.depth == MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} deep", event.start_mark)
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES:
            _refuse(f"more than {MAX_NODES:,} keys and values", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def plain(self, node: yaml.Node, path: KeyPath, line: int) -> object:
        """The value of `node`; notes the places of it and of everything in it."""
        text = None
        if isinstance(node, yaml.MappingNode):
            value = dict(self._entries(node, path))
        elif isinstance(node, yaml.SequenceNode):
            value = tuple(self._items(node, path))
        else:
            text, value = node.value, self._scalar(node)
        self.places[path] = Place(line, text, value)
        return value

    def _items(self, node: yaml.SequenceNode, path: KeyPath) -> Iterator[object]:
        for i, item in enumerate(node.value):
            yield self.plain(item, (*path, i), item.start_mark.line + 1)

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, object]]:
        for key, value in node.value:
            if key.tag == MERGE_TAG:
                _refuse("merge keys (<<) are not read; write the settings out", key.start_mark)
            if key.tag != STR_TAG:
                _refuse("a key must be text; quote it", key.start_mark)
            line = key.start_mark.line + 1
            if (first := self.places.get((*path, key.value))) is not None:
                _refuse(f"the key {quoted(key.value)} is already on line {first.line}; keep one", key.start_mark)
            yield key.value, self.plain(value, (*path, key.value), line)

    def _scalar(self, node: yaml.Node) -> object:
        if node.tag != STR_TAG and len(node.value) > MAX_NUMBER_CHARS:
            _refuse(f"a number has at most {MAX_NUMBER_CHARS} characters; quote a text", node.start_mark)
        try:
            return self.construct_object(node)
        except (ValueError, LookupError, AttributeError, OverflowError, yaml.YAMLError):
            _refuse(f"cannot read {quoted(node.value)}; quote it if it is text", node.start_mark)
