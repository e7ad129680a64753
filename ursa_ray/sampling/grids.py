"""Grids of samples, as a scorer wants them: each is put together as soon as all of its samples are there."""

import hashlib
import posixpath
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import PurePosixPath
from threading import Lock
from typing import Self

from ursa_ray.files import sweep_beside
from ursa_ray.ledger import SAMPLES, Store
from ursa_ray.media import read_note, write_grid
from ursa_ray.suites import Result, Suite

COLUMNS = 2

# PNG of 2048 x 2048 takes more than a second of a core.
NUM_TILING = 4


class Grids:
    """Writes grids that are missing, damaged or of other samples into `out`, for as long as the context lasts.

    What goes wrong with some is raised at the end, when all others are written.
    """

    def __init__(self, suite: Suite, samples: Store, out: Store):
        self._samples, self._out = samples, out
        self._results = {path: result for result in suite.results for path in parts(result)}
        self._hashes: dict[str, str] = {}
        self._tiling: list[Future[None]] = []
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(NUM_TILING, "tiling")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None and not issubclass(kind, Exception))
        if kind is None:
            for done in self._tiling:
                done.result()

    def add(self, path: str, sha256: str) -> None:
        """Note that a sample is there; in any thread."""
        result = self._results[path]
        with self._lock:
            self._hashes[path] = sha256
            hashes = [self._hashes.get(part) for part in parts(result)]
            if None not in hashes:
                self._tiling.append(self._pool.submit(self._tile, result, _note(hashes)))

    def _tile(self, result: Result, note: str) -> None:
        if self._out.exists(result.path):
            with self._out.reading(result.path) as there:
                if read_note(there) == note:
                    return
        folder, name = posixpath.split(result.path)
        with ExitStack() as stack:
            files = [stack.enter_context(self._samples.reading(f"{SAMPLES}/{path}")) for path in parts(result)]
            local = stack.enter_context(self._out.writing(folder)) / name
            sweep_beside(local)
            write_grid(local, files, COLUMNS, note)


def parts(result: Result) -> list[str]:
    """Paths of the samples that a result is made of: the result itself, or those of its grid."""
    if len(result.numbers) == 1:
        return [result.path]
    path = PurePosixPath(result.path)
    return [f"{path.with_suffix('')}/{index}{path.suffix}" for index in range(len(result.numbers))]


def _note(hashes: list[str | None]) -> str:
    """Which samples a grid shows."""
    return hashlib.sha256("".join(map(str, hashes)).encode()).hexdigest()
