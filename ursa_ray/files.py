"""Files that appear whole or not at all, what a killed process leaves of them, and their hashes."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ursa_ray.errors import OptionError

ASIDE = ".aside-"


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Give a path of the same name, aside, to write to; if the block ends without an error it becomes `path`.

    Aside is a folder `.aside-*` beside `path` that is named after it, with room for whatever else the block writes.
    A killed process leaves that folder behind, and never a part of a file at `path`. What the block writes may be a
    folder of files. It takes the place of another in two steps: killed between them, it leaves both aside and no
    `path`. An `OSError` names `path`.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_aside_of(path), dir=path.parent) as folder:
            aside = Path(folder) / path.name
            yield aside
            if aside.is_dir():
                for file in aside.iterdir():
                    sync(file)
                if path.is_dir():
                    os.replace(path, _replaced(aside))
            sync(aside)
            os.replace(aside, path)
            sync(path.parent)


def require_folder(folder: Path) -> None:
    """Refuse where no folder is or can be made, before there is work for nothing; nothing is written.

    Raises:
        OptionError: it says which one is in the way.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(f"{folder}: {there} is no folder that can be written. Give another place.")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of what lies aside of `path`, or of what has no name, are of the file that is asked for."""
    try:
        yield
    except OSError as error:
        is_aside = isinstance(error.filename, str | Path) and _aside_of(path) in str(error.filename)
        if error.errno is None or not (error.filename is None or is_aside):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _aside_of(path: Path) -> str:
    """How folders aside of a path begin, whose own name may be as long as a name can be."""
    return f"{ASIDE}{hashlib.sha256(path.name.encode()).hexdigest()[:16]}-"


def _replaced(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}.replaced")


def write_durably(path: Path, content: bytes) -> None:
    """Create a file that must not exist yet, and wait until it is on disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, and wait until their names are on disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync(each.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed processes left aside in a folder that nobody else writes to now."""
    for left in folder.glob(f"{ASIDE}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sweep_beside(path: Path) -> None:
    """Remove what killed processes left aside of a `path` that nobody else writes now; other files' stay."""
    for left in path.parent.glob(f"{_aside_of(path)}*"):
        shutil.rmtree(left, ignore_errors=True)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
