"""Writing while the next thing is made."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from time import monotonic

# Frames of a segment are written within a second or two; uploads are tried again for up to five minutes.
MAX_WRITING_S = 600.0


class Writer:
    """Writes in a thread of its own, one thing at a time; whoever begins another waits for the one before.

    A write that hangs holds up the next for `MAX_WRITING_S` from its own beginning, and the end of the process not at
    all.
    """

    def __init__(self, name: str):
        self._name = name
        self._latest: Future[object] | None = None  # None once it was waited for
        self._began = 0.0

    def begin(self, write: Callable[[], object]) -> Future[object]:
        """Write once the one before has ended, whatever became of it.

        Raises:
            TimeoutError: that takes too long.
        """
        self._require_end()
        self._latest, self._began = Future(), monotonic()
        # A daemon: the end of the process would wait for the threads of a pool.
        Thread(target=_write, args=(write, self._latest), name=self._name, daemon=True).start()
        return self._latest

    def wait(self) -> None:
        """Until nothing is being written, whatever became of it, or it has taken too long."""
        left_s = max(0.0, self._began + MAX_WRITING_S - monotonic())
        if self._latest is not None and wait([self._latest], left_s).done:
            self._latest = None

    def require_written(self) -> None:
        """Wait, too.

        Raises:
            TimeoutError: it takes too long.
            Exception: what the latest write raised, unless it was waited for before.
        """
        latest = self._latest
        self._require_end()
        if latest is not None:
            latest.result()

    def _require_end(self) -> None:
        self.wait()
        if self._latest is not None:
            raise TimeoutError(
                f"{self._name} are still being written after {MAX_WRITING_S:.0f} s, expected seconds. "
                "See whether the disk or bucket of the run answers."
            )


def _write(write: Callable[[], object], writing: Future[object]) -> None:
    try:
        writing.set_result(write())
    except Exception as error:
        writing.set_exception(error)
