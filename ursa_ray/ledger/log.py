"""The log: numbered files that are put if absent, so that a commit is there completely or not at all.

Every entry names the hash of the one before, so that none can be changed, dropped or put in between unnoticed. It also
has the epoch in which it was written: whoever begins to render opens a new one. A render that lost the run while it was
asleep is behind then; its next append finds the number taken and it stops.

When a log has grown long, a render puts what it comes to into a snapshot and removes the entries. Readers take the
newest snapshot and the entries after it, and a number up to that of a snapshot counts as taken.
"""

import hashlib
import secrets
from copy import copy
from dataclasses import dataclass

from ursa_ray.errors import LeaseError, LedgerError
from ursa_ray.ledger.chain import Entry, Head, damaged, head_after, last_in, log_name, numbers_in, read_chain
from ursa_ray.ledger.commit import Commit, Link
from ursa_ray.ledger.snapshots import FOLDER, read_snapshot, snapshot_name, write_snapshot
from ursa_ray.ledger.store import Store, refused


@dataclass(frozen=True)
class Survey:
    """What there is after a head: a snapshot's commits, if a newer one was found, and entries.

    Attributes:
        is_all: whether these are all entries of the log, not only the new ones.
        num_compacted: how many entries are in a snapshot.
        problem: what is wrong with the snapshot.
    """

    snapshot: list[Commit]
    entries: list[Entry]
    head: Head
    is_all: bool
    num_compacted: int
    problem: str | None = None

    @property
    def commits(self) -> list[Commit]:
        return [*self.snapshot, *(entry.commit for entry in self.entries if entry.commit is not None)]

    @property
    def damaged(self) -> list[Entry]:
        return damaged(self.entries)


class Log:
    """`head` is the end of what was read or appended through this object."""

    def __init__(self, store: Store):
        self.store = store
        self.head = Head()
        self._num_compacted = 0
        self._is_lost = False
        self._unsure = ""  # the hash of an entry that may be there although its append has failed

    @property
    def num_loose(self) -> int:
        """Entries that are in no snapshot."""
        return self.head.num_entries - self._num_compacted

    def read_new(self) -> Survey:
        """Read the entries that were not read or appended through this object; all, if any of those no longer count.

        Raises:
            LedgerError: a snapshot or an entry that nothing invalidates is missing, is damaged, or cannot be read.
        """
        survey = self.survey()
        if not survey.is_all and any(commit.kind == "invalidate" for commit in survey.commits):
            self.head = Head()
            survey = self.survey()
        for problem in [survey.problem, *(entry.problem for entry in survey.damaged)]:
            if problem is not None:
                raise LedgerError(problem)
        self._go_to(survey)
        return survey

    def read_past_damage(self) -> list[Entry]:
        """The damaged entries that nothing invalidates; from here on the log can be appended to all the same."""
        survey = self.survey()
        if survey.problem is not None:
            raise LedgerError(survey.problem)
        self._go_to(survey)
        return survey.damaged

    def survey(self) -> Survey:
        """Look at what is new without moving on to it."""
        try:
            return self._survey()
        except FileNotFoundError:  # a render has just put entries into a snapshot
            pass
        try:
            return self._survey()
        except FileNotFoundError as error:
            raise LedgerError(f"{self.store.url}/log: {error} vanished while it was read. Try again.") from error

    def append(self, commit: Commit) -> None:
        """Add an entry; it survives a crash of the machine from the moment that this returns.

        Raises:
            LeaseError: somebody else has appended to this log since it was read; from then on always.
            StoreError: the disk refuses. The entry may be there all the same; a later append goes on from what is.
        """
        if self._is_lost:
            raise LeaseError(f"{self.store.url}: {self._holder()} has taken over this run.")
        self._settle()
        number, epoch, before = self.head
        content = commit.to_parquet(Link(number, before, epoch, secrets.token_hex(16)))
        self._unsure = hashlib.sha256(content).hexdigest()
        name = log_name(number)
        try:
            # Its number may be free although others went on: the entry that was there is lost, or in a snapshot.
            if last_in(self.store, "log") > number:
                raise FileExistsError(name)
            self.store.create(name, content)
            if last_in(self.store, FOLDER) >= number:
                self.store.remove(name)
                raise FileExistsError(name)
        except FileExistsError as error:
            self._is_lost = True
            raise LeaseError(
                f"{self.store.url}: {self._holder()} has taken over this run. "
                "Wait for it, or give this one another --run."
            ) from error
        except OSError as error:
            raise refused(self.store, name, error) from error
        self.head, self._unsure = Head(number + 1, epoch, self._unsure), ""

    def begin_epoch(self, holder: str) -> None:
        """From here on the entries are of `holder`, and whoever wrote the last ones can write no more."""
        self.head = self.head._replace(epoch=self.head.epoch + 1)
        self.append(Commit("epoch", holder))

    def compact(self, commits: list[Commit]) -> None:
        """Put `commits`, which all entries so far come to, into a snapshot, and remove what it replaces."""
        last = self.head.num_entries - 1
        try:
            write_snapshot(self.store, commits, self.head)
            for number in numbers_in(self.store, "log"):
                if number <= last:
                    self.store.remove(log_name(number))
            for number in numbers_in(self.store, FOLDER):
                if number < last:
                    self.store.remove(snapshot_name(number))
        except OSError as error:
            raise refused(self.store, snapshot_name(last), error) from error
        self._num_compacted = self.head.num_entries

    def _survey(self) -> Survey:
        # In this order: what vanishes from the log in between is in a snapshot that is seen.
        numbers, snapshots = numbers_in(self.store, "log"), numbers_in(self.store, FOLDER)
        head, commits, problem = self.head, list[Commit](), None
        is_all = not head.num_entries
        if snapshots and snapshots[-1] >= head.num_entries:
            is_all = True
            try:
                commits, head = read_snapshot(self.store, snapshots[-1])
            except LedgerError as error:
                head, problem = Head(snapshots[-1] + 1), str(error)
        entries = read_chain(self.store, head, numbers)
        num_compacted = snapshots[-1] + 1 if snapshots else 0
        return Survey(commits, entries, head_after(head, entries), is_all, num_compacted, problem)

    def _go_to(self, survey: Survey) -> None:
        self.head = survey.head
        self._num_compacted = survey.num_compacted

    def _settle(self) -> None:
        """Go past the entry of an append that has failed, if it is there and nobody has gone on since."""
        if self._unsure:
            survey = self.survey()
            if [entry.sha256 for entry in survey.entries] == [self._unsure]:
                self._go_to(survey)
            self._unsure = ""

    def _holder(self) -> str:
        """Who has written after the entries of this object."""
        holders = [newer.key for newer in copy(self).read_new().commits if newer.kind == "epoch"]
        return holders[-1] if holders else "another render"
