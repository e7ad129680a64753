"""The log: numbered files that are put if absent, so that a commit is there completely or not at all."""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from ursa_ray.errors import LedgerError
from ursa_ray.files import ASIDE, sync, write_durably

NAME = re.compile(r"(\d{20})\.parquet")


class Log:
    def __init__(self, folder: Path):
        self.folder = folder
        self.num_entries = 0

    def read_new(self) -> Iterator[tuple[str, bytes]]:
        """(path, content) of the entries that were not read or appended through this object, in order.

        Raises:
            LedgerError: an entry is missing between others, or cannot be read.
        """
        for name in self._names()[self.num_entries :]:
            path = self._path(self.num_entries)
            if path.name != name:
                raise LedgerError(f"{path}: is missing, though later entries are there. Restore it.")
            try:
                content = path.read_bytes()
            except OSError as error:
                raise LedgerError(f"{path}: cannot be read ({error.strerror}). Restore it.") from error
            self.num_entries += 1
            yield str(path), content

    def append(self, content: bytes) -> None:
        """Add an entry; it survives a crash of the machine from the moment that this returns.

        Raises:
            LedgerError: somebody else has appended to this log since it was read, or the disk refuses.
        """
        path = self._path(self.num_entries)
        temporary = self.folder / f"{ASIDE}{path.name}.{secrets.token_hex(8)}"
        try:
            write_durably(temporary, content)
            os.link(temporary, path)
            sync(self.folder)
        except FileExistsError as error:
            raise LedgerError(
                f"{path}: another render has written to this run. Wait for it, or give this one another --run."
            ) from error
        except OSError as error:
            raise LedgerError(f"{path}: cannot be written ({error.strerror}). What is committed is safe.") from error
        finally:
            temporary.unlink(missing_ok=True)
        self.num_entries += 1

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.folder) if NAME.fullmatch(name))
        except OSError as error:
            raise LedgerError(f"{self.folder}: cannot be read ({error.strerror}). Restore it.") from error

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:020d}.parquet"
