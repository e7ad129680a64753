"""Renders as users start them, in processes of their own, and what is left of them."""

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

SIGTERM_BIT = 1 << 14


class Process(subprocess.Popen):
    """A command line; its standard error goes to a file that is only appended to."""

    def __init__(self, folder: Path, *arguments: object, module: str = "ursa_ray"):
        self.mark, self.log = uuid4().hex, folder / "stderr.log"
        with self.log.open("a") as log:
            super().__init__(
                [sys.executable, "-m", module, *map(str, arguments)],
                env=os.environ | {"OMP_NUM_THREADS": "1", "TEST_MARK": self.mark},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_until_said(self, words: str, limit_s: float = 100) -> None:
        self.wait_until(lambda: words in self.log.read_text(), limit_s)

    def wait_until_interruptible(self) -> None:
        """Until it has said what SIGTERM does."""
        status = Path(f"/proc/{self.pid}/status")
        self.wait_until(lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) & SIGTERM_BIT)

    def wait_until(self, condition, limit_s: float = 100) -> None:
        until = time.monotonic() + limit_s
        while not condition():
            assert self.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.01)

    def end(self, limit_s: float = 100) -> str:
        """Wait for its end; what it said."""
        self.communicate(timeout=limit_s)
        return self.log.read_text()

    def family(self) -> list[int]:
        """It and its descendants that live, whoever their parent is by now."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self._is_of(path)]

    def _is_of(self, path: Path) -> bool:
        try:
            return self.mark.encode() in (path / "environ").read_bytes() and " Z " not in (path / "stat").read_text()
        except OSError:
            return False
