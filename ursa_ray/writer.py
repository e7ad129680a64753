"""Writing while the next thing is made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Writer:
    """Writes in a thread of its own, one thing at a time; whoever begins another waits for the one before."""

    def __init__(self, name: str):
        self._thread = ThreadPoolExecutor(1, name)
        self._latest: Future[object] | None = None

    def begin(self, write: Callable[[], object]) -> Future[object]:
        self.wait()
        self._latest = self._thread.submit(write)
        return self._latest

    def wait(self) -> None:
        """Until nothing is being written, whatever became of it."""
        if self._latest is not None:
            wait([self._latest])

    def require_written(self) -> None:
        """Wait, too.

        Raises:
            Exception: what the latest write raised.
        """
        if self._latest is not None:
            self._latest.result()
