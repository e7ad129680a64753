"""The folder of one render.

FORMAT.json                which format this is
LOCK                       held by the render that writes here
plan-<sha256>.parquet      each plan that was rendered here
log/<20 digits>.parquet    the commits
assets/<sha256>            the images and clips that the plans name
media/<sha256>.mkv         frames of segments, rebuildable from codes
film.mp4, stills/, ...     what was asked for
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Self

from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.files import ASIDE, published, sweep, sync
from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.log import Log
from ursa_ray.ledger.plans import plan_from_parquet, plan_to_parquet
from ursa_ray.plan import Plan

FORMAT = {"format": "ursa-ray run", "version": 1}
PARTS = ("log", "assets", "media", "stills")


class Run:
    """An open run; `segments` are the committed ones by key, `last_film` is what was joined last."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / "log"
        self.assets = folder / "assets"
        self.media = folder / "media"
        self.stills = folder / "stills"
        self.film = folder / "film.mp4"
        self.contact_sheet = folder / "contact-sheet.png"
        self.segments: dict[str, Commit] = {}
        self.last_film: Commit | None = None
        self.plan_sha256: str | None = None
        self._log = Log(self.log)
        for where, content in self._log.read_new():
            self._take(Commit.from_parquet(content, where))

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Open a run, made if the folder is absent or empty.

        Raises:
            OptionError: the folder holds something else, or must not be written.
            LedgerError: the run is damaged, or of a version that this one does not know.
        """
        file = folder / "FORMAT.json"
        try:
            if not file.exists():
                if folder.exists() and not _is_unused(folder):
                    raise OptionError(f"{folder}: is neither a run nor an empty folder. Give another --run.")
                for part in PARTS:
                    (folder / part).mkdir(parents=True, exist_ok=True)
                with published(file) as aside:
                    aside.write_text(json.dumps(FORMAT))
                sync(folder.parent)
        except OSError as error:
            raise OptionError(f"{folder}: cannot be written ({error.strerror}). Give another --run.") from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        file = folder / "FORMAT.json"
        try:
            found = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise OptionError(f"{folder}: is not a run ({file.name} is missing).") from error
        except OSError as error:
            raise OptionError(f"{file}: cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise LedgerError(f"{file}: is damaged. It should hold {json.dumps(FORMAT)}.") from error
        if found != FORMAT:
            raise LedgerError(f"{file}: is {json.dumps(found)}, expected {json.dumps(FORMAT)}. Use a newer ursa-ray.")
        return cls(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other renders out, and clear away what killed ones left.

        Raises:
            LedgerError: another render is working on this run.
        """
        path = self.folder / "LOCK"
        try:
            file = path.open("a+")
        except OSError as error:
            raise LedgerError(f"{path}: cannot be written ({error.strerror}).") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise LedgerError(
                    f"{self.folder}: another render works on this run ({file.read()}). "
                    "Wait for it, or give this one another --run."
                ) from error
            except OSError:
                pass  # A file system without locks: the log still lets only one of two append.
            file.truncate(0)
            file.write(f"process {os.getpid()} on {gethostname()}")
            file.flush()
            for folder in (self.folder, *(self.folder / part for part in PARTS)):
                sweep(folder)
            yield

    def mezzanine(self, key: str) -> Path | None:
        """File with the frames of a segment; None if the segment is not committed or the file is gone."""
        if key not in self.segments:
            return None
        path = self.media / f"{self.segments[key].media_sha256}.mkv"
        return path if path.exists() else None

    def commit(self, commit: Commit) -> None:
        self._log.append(commit.to_parquet())
        self._take(commit)

    def begin(self, plan: Plan) -> None:
        """Note that `plan` is what this run renders from now on."""
        path = self._plan_path(plan.sha256)
        if not path.exists():
            try:
                with published(path) as aside:
                    aside.write_bytes(plan_to_parquet(plan))
            except OSError as error:
                raise LedgerError(f"{path}: cannot be written ({error.strerror}).") from error
        if self.plan_sha256 != plan.sha256:
            self.commit(Commit("plan", plan.sha256))

    def plan(self) -> Plan | None:
        """The plan that was rendered last."""
        if self.plan_sha256 is None:
            return None
        path = self._plan_path(self.plan_sha256)
        try:
            return plan_from_parquet(path.read_bytes(), str(path))
        except OSError as error:
            raise LedgerError(f"{path}: is missing. Render the storyboard again to restore it.") from error

    def _plan_path(self, sha256: str) -> Path:
        return self.folder / f"plan-{sha256}.parquet"

    def _take(self, commit: Commit) -> None:
        if commit.kind == "segment":
            # A later one has the same codes; its frames were decoded again, perhaps on another device.
            self.segments[commit.key] = commit
        elif commit.kind == "film":
            self.last_film = commit
        else:
            self.plan_sha256 = commit.key


def _is_unused(folder: Path) -> bool:
    """Empty, but for what a crash may have left while a run was made."""
    return folder.is_dir() and all(
        path.name.startswith(ASIDE) or (path.name in PARTS and path.is_dir() and not any(path.iterdir()))
        for path in folder.iterdir()
    )
