"""A run in a folder."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ursa_ray.errors import LeaseError, OptionError
from ursa_ray.files import ASIDE, file_sha256, make_folder, sweep, sync, write_durably

LEASE = "LEASE"

# Looking who has the lease locks it for a fraction of a millisecond; a render in its way tries again.
NUM_TRIES = 3
TRY_AGAIN_S = 0.1


class FolderStore:
    def __init__(self, folder: Path):
        self.folder = folder
        self.url = str(folder)

    @property
    def anywhere(self) -> str:
        return str(self.folder.resolve())

    def names(self, folder: str) -> list[str]:
        try:
            return sorted([name for name in os.listdir(self.folder / folder) if not name.startswith(ASIDE)])
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def sha256(self, name: str) -> str | None:
        return file_sha256(self.folder / name) if self.exists(name) else None

    def create(self, name: str, content: bytes) -> None:
        path = self.folder / name
        temporary = path.with_name(f"{ASIDE}{path.name}.{secrets.token_hex(8)}")
        make_folder(path.parent)
        try:
            write_durably(temporary, content)
            os.link(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{ASIDE}{path.name}.{secrets.token_hex(8)}")
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.folder / folder, ignore_errors=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        yield self.folder / name

    @contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        yield self.folder / folder

    @contextmanager
    def lease(self, holder: str) -> Iterator[None]:
        path = self.folder / LEASE
        try:
            file = path.open("a+")
        except OSError as error:
            raise unwritable(str(path), error) from error
        with file:
            try:
                _lock(file)
            except BlockingIOError as error:
                file.seek(0)
                raise LeaseError(
                    f"{self.folder}: another render works on this run ({file.read()}). "
                    "Wait for it, or give this one another --run."
                ) from error
            except OSError:
                pass  # A file system without locks: the log still lets only one of two append.
            file.truncate(0)
            file.write(holder)
            file.flush()
            for folder, _, _ in os.walk(self.folder):
                sweep(Path(folder))
            yield

    def holder(self) -> str | None:
        try:
            with (self.folder / LEASE).open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read()
                except OSError:
                    return f"{file.read()}, or nobody: this file system has no locks"
        except OSError:
            pass
        return None


def unwritable(where: str, error: OSError) -> OptionError:
    """Why no render can work on a run."""
    return OptionError(f"{where}: cannot be written ({error.strerror}). Change that, or give another --run.")


def _lock(file: TextIO) -> None:
    """Lock a file, also while somebody looks who has it."""
    for _ in range(NUM_TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(TRY_AGAIN_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
