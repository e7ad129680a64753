"""The folder of one render.

FORMAT.json                which format this is
plan-<sha256>.parquet      each plan that was rendered here
log/<20 digits>.parquet    the commits
media/<sha256>.mkv         frames of segments, rebuildable from codes
film.mp4, stills/, ...     what was asked for
"""

import json
import os
import secrets
from pathlib import Path
from typing import Self

from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.log import Log, sync_folder, write_durably
from ursa_ray.ledger.plans import plan_from_parquet, plan_to_parquet
from ursa_ray.plan import Plan

FORMAT = {"format": "ursa-ray run", "version": 1}
PARTS = ("log", "media", "stills")


class Run:
    """An open run; `segments` are the committed ones by key."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._log = Log(folder / "log")
        self.segments: dict[str, Commit] = {}
        self.films: dict[str, Commit] = {}
        self.plan_sha256: str | None = None
        for where, content in self._log.read_new():
            self._take(Commit.from_parquet(content, where))

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Open a run, made if the folder is absent or empty.

        Raises:
            OptionError: the folder holds something else.
            LedgerError: the run is damaged, or of a version that this one does not know.
        """
        file = folder / "FORMAT.json"
        if not file.exists():
            if folder.exists() and not _is_unused(folder):
                raise OptionError(f"{folder}: is neither a run nor an empty folder. Give another --run.")
            try:
                for part in PARTS:
                    (folder / part).mkdir(parents=True, exist_ok=True)
                _publish(file, json.dumps(FORMAT).encode())
                sync_folder(folder.parent)
            except OSError as error:
                raise OptionError(f"{folder}: cannot be written ({error.strerror}). Give another --run.") from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        file = folder / "FORMAT.json"
        try:
            found = json.loads(file.read_text())
        except OSError as error:
            raise OptionError(f"{folder}: is not a run ({file.name} is missing).") from error
        except ValueError as error:
            raise LedgerError(f"{file}: is damaged. It should hold {json.dumps(FORMAT)}.") from error
        if found != FORMAT:
            raise LedgerError(f"{file}: is {json.dumps(found)}, expected {json.dumps(FORMAT)}. Use a newer ursa-ray.")
        return cls(folder)

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def film(self) -> Path:
        return self.folder / "film.mp4"

    @property
    def stills(self) -> Path:
        return self.folder / "stills"

    def mezzanine(self, key: str) -> Path | None:
        """File with the frames of a segment; None if the segment is not committed or the file is gone."""
        if key not in self.segments:
            return None
        path = self.media / f"{self.segments[key].frames_sha256}.mkv"
        return path if path.exists() else None

    def commit(self, commit: Commit) -> None:
        self._log.append(commit.to_parquet())
        self._take(commit)

    def begin(self, plan: Plan) -> None:
        """Note that `plan` is what this run renders from now on."""
        path = self._plan_path(plan.sha256)
        if not path.exists():
            try:
                _publish(path, plan_to_parquet(plan))
            except OSError as error:
                raise LedgerError(
                    f"{path}: cannot be written ({error.strerror}). Make room, and render again."
                ) from error
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
            self.films[commit.key] = commit
        else:
            self.plan_sha256 = commit.key


def _is_unused(folder: Path) -> bool:
    """Empty, but for what a crash may have left while a run was made."""
    return folder.is_dir() and all(
        path.name.startswith(".FORMAT.json.") or (path.name in PARTS and path.is_dir() and not any(path.iterdir()))
        for path in folder.iterdir()
    )


def _publish(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_durably(temporary, content)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
