"""What lies in the log: entries that each name the hash of the one before, and what is wrong with those that do not.

A damaged or missing entry is passed over once a later one, of kind "invalidate", names it and exactly its bytes.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ursa_ray.errors import LedgerError
from ursa_ray.ledger.commit import FIX, Commit, Link
from ursa_ray.ledger.store import Store

NAME = re.compile(r"(\d{20})\.parquet")

MISSING = "missing"

# More entries than these are not lost at once: a number so far ahead is not of this log.
MAX_MISSING = 10_000


class Head(NamedTuple):
    """The end of a log: how many entries it has, and the epoch and the hash of the last, "" if that is damaged."""

    num_entries: int = 0
    epoch: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """What is found at a number: a whole entry, or the `problem` with it.

    Attributes:
        sha256: of the bytes there; `MISSING`; "" if they cannot be read.
    """

    name: str
    number: int
    sha256: str
    commit: Commit | None = None
    link: Link | None = None
    problem: str | None = None


def file_name(number: int) -> str:
    return f"{number:020d}.parquet"


def log_name(number: int) -> str:
    return f"log/{file_name(number)}"


def numbers_in(store: Store, folder: str) -> list[int]:
    """The numbers of the files in a folder, in order."""
    return [int(match[1]) for match in map(NAME.fullmatch, _names(store, folder)) if match]


def last_in(store: Store, folder: str) -> int:
    """The last of these numbers, or -1. Every commit asks twice, so only the last names are looked into."""
    return next((int(match[1]) for match in map(NAME.fullmatch, reversed(_names(store, folder))) if match), -1)


def read_chain(store: Store, head: Head, numbers: Iterable[int]) -> list[Entry]:
    """The entries after `head`, if there are files with these numbers.

    Raises:
        FileNotFoundError: a file has vanished.
    """
    later = sorted(number for number in numbers if number >= head.num_entries)
    if later and later[-1] - head.num_entries > len(later) + MAX_MISSING:
        where = f"{store.url}/{log_name(later[-1])}"
        raise LedgerError(f"{where}: is no entry of this log, which ends long before. Move it away.")
    there, entries = set(later), list[Entry]()
    for number in range(head.num_entries, later[-1] + 1 if later else 0):
        entry = _read(store, number) if number in there else _missing(store, number)
        before = entries[-1].sha256 if entries else head.sha256
        if entry.link is not None and not _follows(entry.link, before):
            if not entries:
                entry = _blame(store, entry, "it does not follow the entry before it")
            elif entries[-1].problem is None:
                # It is whole, so it was not written after what is there now.
                entries[-1] = _blame(store, entries[-1], "the entry after it follows something else")
        entries.append(entry)
    return entries


def damaged(entries: list[Entry]) -> list[Entry]:
    """Those with a problem that no entry invalidates."""
    invalidated = {
        found
        for entry in entries
        if entry.commit is not None and entry.commit.kind == "invalidate"
        for found in (entry.commit.files or {}).items()
    }
    return [entry for entry in entries if entry.problem is not None and (entry.name, entry.sha256) not in invalidated]


def head_after(head: Head, entries: list[Entry]) -> Head:
    if not entries:
        return head
    last = entries[-1]
    epoch = max([head.epoch, *(entry.link.epoch for entry in entries if entry.link is not None)])
    return Head(last.number + 1, epoch, last.sha256 if last.problem is None else "")


def _read(store: Store, number: int) -> Entry:
    name = log_name(number)
    where = f"{store.url}/{name}"
    try:
        content = store.read(name)
    except FileNotFoundError:
        raise
    except OSError as error:
        return Entry(name, number, "", problem=f"{where}: cannot be read ({error.strerror}). {FIX}")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        commit, link = Commit.from_parquet(content, where)
    except LedgerError as error:
        return Entry(name, number, sha256, problem=str(error))
    entry = Entry(name, number, sha256, commit, link)
    return entry if link.number == number else _blame(store, entry, f"it is entry {link.number}")


def _missing(store: Store, number: int) -> Entry:
    name = log_name(number)
    problem = f"{store.url}/{name}: is missing, though later entries are there. {FIX}"
    return Entry(name, number, MISSING, problem=problem)


def _follows(link: Link, sha256: str) -> bool:
    """An entry that was appended behind a damaged one names nothing, and nothing is known of a head that is damaged."""
    return not sha256 or link.previous_sha256 in ("", sha256)


def _blame(store: Store, entry: Entry, reason: str) -> Entry:
    problem = f"{store.url}/{entry.name}: is damaged ({reason}). {FIX}"
    return replace(entry, commit=None, link=None, problem=problem)


def _names(store: Store, folder: str) -> list[str]:
    try:
        return store.names(folder)
    except OSError as error:
        raise LedgerError(f"{store.url}/{folder}: cannot be read ({error.strerror}). Restore it.") from error
