"""A disk that is watched: what is done to it in which order, what may be left of that when the power goes, and faults.

After Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014). What POSIX promises is little: the data of a
file is on disk after an fsync of the file, and names in a folder after an fsync of the folder. Before, data may be
absent, there in part or whole, and every change of a name may or may not have happened, in any order.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

Tree = dict[str, bytes | None]  # None is a folder


@dataclass(frozen=True)
class Operation:
    """`file` is the inode that is written, synced or named; None for folders and names that are removed."""

    kind: str
    path: str
    target: str | None = None
    file: int | None = None
    data: bytes = b""

    @property
    def is_sync(self) -> bool:
        return self.kind == "fsync"


class Disk:
    """Records operations, and lets the `at`th fail with an error number; short writes write half of what they should.

    Nothing is really synced: that takes milliseconds, and the crash is enumerated, not tried.
    """

    def __init__(self, monkeypatch, at: int | None = None, code: int | None = None, is_short: bool = False):
        self.operations: list[Operation] = []
        self.num = 0
        self._at, self._code, self._is_short = at, code, is_short
        self._real = {name: getattr(os, name) for name in ("link", "unlink", "replace", "mkdir", "open", "listdir")}
        self._real_open = Path.open
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(Path, "open", lambda path, *args, **kwargs: self.open_file(path, *args, **kwargs))

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self._note(Operation("fsync", path, file=None if Path(path).is_dir() else os.fstat(descriptor).st_ino))

    def link(self, source: Any, target: Any) -> None:
        self._note(Operation("link", str(source), str(target), _inode(source)))
        self._real["link"](source, target)

    def replace(self, source: Any, target: Any) -> None:
        self._note(Operation("replace", str(source), str(target), _inode(source)))
        self._real["replace"](source, target)

    def unlink(self, path: Any, **how: Any) -> None:
        if not how and os.path.lexists(path):
            self._note(Operation("unlink", str(path)))
        self._real["unlink"](path, **how)

    def mkdir(self, path: Any, mode: int = 0o777, **how: Any) -> None:
        if not os.path.lexists(path):
            self._note(Operation("mkdir", str(path)))
        self._real["mkdir"](path, mode, **how)

    def open(self, path: Any, *args: Any, **how: Any) -> int:
        self._note(Operation("open", str(path)))
        return self._real["open"](path, *args, **how)

    def listdir(self, path: Any = ".") -> list[str]:
        self._note(Operation("list", str(path)))
        return self._real["listdir"](path)

    def open_file(self, path: Path, mode: str = "r", *args: Any, **how: Any) -> Any:
        if "x" not in mode and "w" not in mode:
            self._note(Operation("open", str(path)))
            return self._real_open(path, mode, *args, **how)
        assert "b" in mode and not path.exists(), path
        self._note(Operation("open", str(path)))
        raw = Raw(self, path, mode.replace("b", ""))
        self.operations.append(Operation("create", str(path), file=os.fstat(raw.fileno()).st_ino))
        return io.BufferedWriter(raw)

    def write(self, path: Path, data: bytes, descriptor: int) -> bytes:
        """What of the data may be written."""
        is_hit = self._is_hit()
        if is_hit and self._is_short and len(data) > 1:
            data = data[: len(data) // 2]
        elif is_hit and not self._is_short:
            raise self._error()
        self.operations.append(Operation("write", str(path), file=os.fstat(descriptor).st_ino, data=data))
        self.num += 1
        return data

    def _note(self, operation: Operation) -> None:
        if self._is_hit() and not self._is_short:
            raise self._error()
        self.operations.append(operation)
        self.num += 1

    def _is_hit(self) -> bool:
        """Of a code, every operation from there on fails, as on a full disk; a short write happens once."""
        if self._at is None:
            return False
        return self.num == self._at or (self.num > self._at and not self._is_short)

    def _error(self) -> OSError:
        assert self._code is not None
        if self._code == errno.EIO:
            self._at = None  # an error of a sector does not last
        return OSError(self._code, os.strerror(self._code))


class Raw(io.FileIO):
    def __init__(self, disk: Disk, path: Path, mode: str):
        super().__init__(path, mode)
        self._disk, self._path = disk, path

    def write(self, data: Any) -> int:
        return super().write(self._disk.write(self._path, bytes(data), self.fileno()))


def tree(folder: Path) -> Tree:
    return {str(path): path.read_bytes() if path.is_file() else None for path in [folder, *folder.rglob("*")]}


def after_power_loss(before: Tree, operations: list[Operation]) -> Iterator[tuple[Tree, bool]]:
    """Every different tree that may be left if the power goes before, between or after; and if it was after."""
    seen = set[tuple[Any, bool]]()
    for num_done in range(len(operations) + 1):
        is_over = num_done == len(operations)
        for left in _left(before, operations[:num_done]):
            mark = frozenset(left.items()), is_over
            if mark not in seen:
                seen.add(mark)
                yield left, is_over


def _left(before: Tree, done: list[Operation]) -> Iterator[Tree]:
    data = _data(done)
    names = [number for number, operation in enumerate(done) if operation.kind in NAMING]
    unsure = [number for number in names if not _is_synced(done, number)]
    for kept in product((True, False), repeat=len(unsure)):
        lost = {number for number, is_kept in zip(unsure, kept, strict=True) if not is_kept}
        for choice in product(*data.values()):
            contents = dict(zip(data, choice, strict=True))
            left: dict[str, Any] = dict(before)
            for number in names:
                if number not in lost:
                    NAMING[done[number].kind](left, done[number])
            yield _reachable(
                {path: contents.get(found, b"") if _is_file(found) else found for path, found in left.items()}
            )


def _data(done: list[Operation]) -> dict[int, list[bytes]]:
    """For each file that was made what it may hold."""
    may: dict[int, list[bytes]] = {}
    for operation in done:
        if operation.file is None:
            continue
        held = may.setdefault(operation.file, [b""])
        if operation.kind == "write":
            whole = held[-1] + operation.data
            held += [held[-1] + operation.data[: len(operation.data) // 2], whole]
        elif operation.is_sync:
            may[operation.file] = held[-1:]
    return may


def _is_synced(done: list[Operation], number: int) -> bool:
    folder = str(Path(done[number].target or done[number].path).parent)
    return any(later.is_sync and later.path == folder for later in done[number:])


def _is_file(found: Any) -> bool:
    return isinstance(found, int)


def _reachable(left: Tree) -> Tree:
    """A name in a folder that is lost is lost."""
    roots = min(len(Path(path).parts) for path in left)
    return {
        path: content
        for path, content in left.items()
        if all(str(above) in left for above in Path(path).parents if len(above.parts) >= roots)
    }


def _create(left: dict[str, Any], operation: Operation) -> None:
    left[operation.path] = operation.file


def _link(left: dict[str, Any], operation: Operation) -> None:
    left[operation.target or ""] = operation.file


def _replace(left: dict[str, Any], operation: Operation) -> None:
    left.pop(operation.path, None)
    _link(left, operation)


def _unlink(left: dict[str, Any], operation: Operation) -> None:
    left.pop(operation.path, None)


NAMING: dict[str, Callable[[dict[str, Any], Operation], None]] = {
    "create": _create,
    "link": _link,
    "replace": _replace,
    "unlink": _unlink,
    "mkdir": lambda left, operation: left.update({operation.path: None}),
}


def lay_out(left: Tree, folder: Path, root: Path) -> None:
    """Make a tree of `root` anew in `folder`."""
    for path, content in sorted(left.items()):
        made = folder / Path(path).relative_to(root)
        if content is None:
            made.mkdir(exist_ok=True)
        else:
            made.write_bytes(content)


def _inode(path: Any) -> int:
    return os.stat(path).st_ino
