"""The log: numbered files that are put if absent, so that a commit is there completely or not at all.

Every entry names the hash of the one before, so that none can be changed, dropped or put in between unnoticed. It also
has the epoch in which it was written: whoever begins to render opens a new one. A render that lost the run while it was
asleep is behind then; its next append finds the number taken and it stops.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from copy import copy

from ursa_ray.errors import LeaseError, LedgerError
from ursa_ray.ledger.commit import Commit, Link
from ursa_ray.ledger.store import Store

NAME = re.compile(r"(\d{20})\.parquet")


class Log:
    """The entries that were read or appended through this object; `num_entries`, and the `epoch` of the last."""

    def __init__(self, store: Store):
        self.store = store
        self.num_entries = 0
        self.epoch = 0
        self._head_sha256 = ""
        self._is_lost = False

    def read_new(self) -> Iterator[Commit]:
        """The entries that were not read or appended through this object, in order.

        Raises:
            LedgerError: an entry is missing between others, is damaged, or cannot be read.
        """
        for name in self._names()[self.num_entries :]:
            where = self._where(self.num_entries)
            if _name(self.num_entries) != name:
                raise LedgerError(f"{where}: is missing, though later entries are there. Restore it.")
            try:
                content = self.store.read(f"log/{name}")
            except OSError as error:
                raise LedgerError(f"{where}: cannot be read ({error.strerror}). Restore it.") from error
            commit, link = Commit.from_parquet(content, where)
            if (link.number, link.previous_sha256) != (self.num_entries, self._head_sha256):
                raise LedgerError(f"{where}: is damaged (it does not follow the entry before it). Restore both.")
            self._advance(content, link.epoch)
            yield commit

    def append(self, commit: Commit) -> None:
        """Add an entry; it survives a crash of the machine from the moment that this returns.

        Raises:
            LeaseError: somebody else has appended to this log since it was read; from then on always.
            LedgerError: the disk refuses.
        """
        if self._is_lost:
            raise LeaseError(f"{self.store.url}: {self._holder()} has taken over this run.")
        link = Link(self.num_entries, self._head_sha256, self.epoch, secrets.token_hex(16))
        content = commit.to_parquet(link)
        try:
            self.store.create(f"log/{_name(self.num_entries)}", content)
        except FileExistsError as error:
            self._is_lost = True
            raise LeaseError(
                f"{self.store.url}: {self._holder()} has taken over this run. "
                "Wait for it, or give this one another --run."
            ) from error
        except OSError as error:
            where = self._where(self.num_entries)
            raise LedgerError(f"{where}: cannot be written ({error.strerror}). What is committed is safe.") from error
        self._advance(content, self.epoch)

    def begin_epoch(self, holder: str) -> None:
        """From here on the entries are of `holder`, and whoever wrote the last ones can write no more."""
        self.epoch += 1
        self.append(Commit("epoch", holder))

    def _holder(self) -> str:
        """Who has written after the entries of this object."""
        holders = [newer.key for newer in copy(self).read_new() if newer.kind == "epoch"]
        return holders[-1] if holders else "another render"

    def _advance(self, content: bytes, epoch: int) -> None:
        self.num_entries += 1
        self.epoch = epoch
        self._head_sha256 = hashlib.sha256(content).hexdigest()

    def _names(self) -> list[str]:
        try:
            return [name for name in self.store.names("log") if NAME.fullmatch(name)]
        except OSError as error:
            raise LedgerError(f"{self.store.url}/log: cannot be read ({error.strerror}). Restore it.") from error

    def _where(self, number: int) -> str:
        return f"{self.store.url}/log/{_name(number)}"


def _name(number: int) -> str:
    return f"{number:020d}.parquet"
