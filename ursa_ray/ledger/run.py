"""The place of one render, a folder or a prefix in a bucket.

FORMAT.json                which format this is
LEASE                      of the render that writes here
plan-<sha256>.parquet      each plan that was rendered here
log/<20 digits>.parquet    the commits
snap/<20 digits>.parquet   what the commits up to this one come to
steps/<key>/               how far a segment is that is being made
previews/<key>.webp        what it will likely be, if that was asked for
assets/<sha256>            the images and clips that the plans name, and the text of storyboards
media/<sha256>.mkv         frames of segments, rebuildable from codes
film.mp4, stills/, ...     what was asked for
samples/                   the same of single images and videos
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Self

from ursa_ray.errors import LeaseError, LedgerError, OptionError
from ursa_ray.files import file_sha256
from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.folder import unwritable
from ursa_ray.ledger.format import FORMAT_NAME, require_format, write_format
from ursa_ray.ledger.log import Log
from ursa_ray.ledger.plans import plan_name, plan_to_parquet, read_plan
from ursa_ray.ledger.steps import Steps
from ursa_ray.ledger.store import Store, open_store, refused
from ursa_ray.plan import Plan

FILM = "film.mp4"
CONTACT_SHEET = "contact-sheet.png"
SAMPLES = "samples"
STORYBOARD = "storyboard.yaml"

# A log of so many entries is put into a snapshot: 256 entries open in 0.5 s.
COMPACT_AT = 256


class Run:
    """An open run; `segments` are the committed ones by key, `last_film` is what was joined last.

    `takes` says how often each segment was taken again, by its name: plans of this run are made with them. `samples`
    has the sha256 of the file that was made of a shot, by the hash of the shot's own plan. `storyboard_sha256` names
    the asset that the plan is of, the text of its storyboard; None if that was not kept.
    """

    def __init__(self, store: Store):
        self.store = store
        self.url = store.url
        self.steps = Steps(store)
        self.segments: dict[str, Commit] = {}
        self.last_film: Commit | None = None
        self.plan_sha256: str | None = None
        self.takes: dict[str, int] = {}
        self.samples: dict[str, str] = {}
        self.storyboard_sha256: str | None = None
        self._log = Log(store)
        self._read()

    @classmethod
    def create(cls, url: str | Path) -> Self:
        """Open a run, made if its place is absent or empty.

        Raises:
            OptionError: something else is there, or it must not be written.
            LedgerError: the run is damaged, or of a version that this one does not know.
        """
        store = open_store(url)
        try:
            if not _is_run(store, url):
                write_format(store)
        except FileExistsError:
            pass  # another render has just made it
        except OSError as error:
            raise unwritable(str(url), error) from error
        return cls.open(url)

    @classmethod
    def find(cls, url: str | Path) -> Self | None:
        """Open the run that is there, None if its place is absent or empty; nothing is written.

        Raises:
            OptionError: something else is there.
            LedgerError: as of `create`.
        """
        store = open_store(url)
        try:
            if not _is_run(store, url):
                return None
        except OSError as error:
            raise OptionError(f"{url}: cannot be read ({error.strerror}). Give another --run.") from error
        return cls.open(url)

    @classmethod
    def open(cls, url: str | Path) -> Self:
        store = open_store(url)
        require_format(store)
        return cls(store)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one render that writes here.

        Raises:
            LeaseError: another render is working on this run, or has changed its takes since they were read: what is
                planned with them would undo that.
            OptionError: it cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {gethostname()} since {now}"
        with self.store.lease(holder):
            planned_with = self.takes
            self._read()
            if self.takes != planned_with:
                name, _ = min(self.takes.items() ^ planned_with.items())
                raise LeaseError(f"{self.url}: the take of {name} was changed since this was planned. Render again.")
            self._log.begin_epoch(holder)
            if self._log.num_loose >= COMPACT_AT:
                self._log.compact(self._commits())
            yield

    def refresh(self) -> None:
        """Learn what others have committed meanwhile; only what is new is read.

        Raises:
            LedgerError: it is damaged.
        """
        self._read()

    @property
    def shown_takes(self) -> dict[str, int]:
        """The takes of the run when its last film was made."""
        if self.last_film is None:
            return {}
        return self.takes if self.last_film.takes is None else self.last_film.takes

    @property
    def is_sampling(self) -> bool:
        """Whether it is of single images or videos, some of which are written: of its last plan there is no film."""
        is_joined = self.last_film is not None and self.last_film.key == self.plan_sha256
        return bool(self.samples) and self.storyboard_sha256 is None and not is_joined

    @contextmanager
    def film_of(self, plan: Plan) -> Iterator[Path | None]:
        """The film of a plan, known to be the one that was made; None if it is not joined yet.

        Raises:
            LedgerError: it is damaged.
        """
        made = self.last_film
        if made is None or made.key != plan.sha256 or not self.store.exists(FILM):
            yield None
            return
        with self.store.reading(FILM) as path:
            if file_sha256(path) != made.media_sha256:
                raise LedgerError(f"{self.where(FILM)}: is damaged. Render again: it is made anew.")
            yield path

    def where(self, name: str) -> str:
        """What people call a file of this run."""
        return f"{self.url}/{name}"

    def framed(self) -> set[str]:
        """Keys of the committed segments whose frames are there."""
        there = set(self.store.names("media")) if self.segments else set()
        return {key for key, commit in self.segments.items() if f"{commit.media_sha256}.mkv" in there}

    def mezzanine(self, key: str) -> AbstractContextManager[Path]:
        """A file with the frames of a segment, which must be there, for as long as the context lasts."""
        return self.store.reading(f"media/{self.segments[key].media_sha256}.mkv")

    def commit(self, commit: Commit) -> None:
        self._log.append(commit)
        self._take(commit)

    def begin(self, plan: Plan, storyboard_sha256: str | None = None) -> None:
        """Note that `plan`, made with the takes of this run, is what it renders from now on; and its storyboard.

        Its file is written anew if it is damaged. Its takes are remembered with it, in one entry of the log: both or
        neither.

        Raises:
            StoreError: the disk refuses.
        """
        name, takes = plan_name(plan.sha256), self._takes_with(plan)
        try:
            if not self._holds(plan):
                self.store.remove(name)
                self.store.create(name, plan_to_parquet(plan))
        except OSError as error:
            raise refused(self.store, name, error) from error
        is_kept = storyboard_sha256 in (None, self.storyboard_sha256)
        if self.plan_sha256 != plan.sha256 or not is_kept:
            self.commit(_plan_commit(plan.sha256, takes, storyboard_sha256))

    def plan(self) -> Plan | None:
        """The plan that was rendered last."""
        return None if self.plan_sha256 is None else read_plan(self.store, self.plan_sha256)

    def _holds(self, plan: Plan) -> bool:
        try:
            return read_plan(self.store, plan.sha256) == plan
        except LedgerError:
            return False

    def _takes_with(self, plan: Plan) -> dict[str, int]:
        """Takes of what is not in the plan stay, for when it comes back."""
        takes = self.takes | {segment.name: segment.take for segment in plan.segments}
        return {name: take for name, take in takes.items() if take}

    def _read(self) -> None:
        survey = self._log.read_new()
        if survey.is_all:
            self.segments.clear()
            self.last_film = self.plan_sha256 = self.storyboard_sha256 = None
            self.takes = {}
            self.samples = {}
        for commit in survey.commits:
            self._take(commit)

    def _take(self, commit: Commit) -> None:
        match commit.kind:
            case "segment":
                # A later one has the same codes; its frames were decoded again, perhaps on another device.
                self.segments[commit.key] = commit
            case "film":
                self.last_film = commit
            case "samples":
                self.samples |= commit.files or {}
            case "plan":
                self.plan_sha256 = commit.key
                self.takes = commit.takes or {}
                self.storyboard_sha256 = (commit.files or {}).get(STORYBOARD)

    def _commits(self) -> list[Commit]:
        """What all entries so far come to."""
        plans = []
        if self.plan_sha256 is not None:
            plans.append(_plan_commit(self.plan_sha256, self.takes, self.storyboard_sha256))
        films = [] if self.last_film is None else [self.last_film]
        samples = [Commit("samples", self.plan_sha256 or "", files=self.samples)] if self.samples else []
        return [*plans, *self.segments.values(), *films, *samples]


def _plan_commit(sha256: str, takes: dict[str, int], storyboard_sha256: str | None) -> Commit:
    files = None if storyboard_sha256 is None else {STORYBOARD: storyboard_sha256}
    return Commit("plan", sha256, takes=takes, files=files)


def _is_run(store: Store, url: str | Path) -> bool:
    """Whether a run is there; False if nothing is, and an `OptionError` if it is something else."""
    # In this order: if what is there is of a run that another render is making, FORMAT.json came before it.
    names = store.names("")
    if store.exists(FORMAT_NAME):
        return True
    if names:
        raise OptionError(f"{url}: is neither a run nor an empty folder. Give another --run.")
    return False
