"""Renders as users start them, in processes of their own, and what is left of them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

SIGTERM_BIT = 1 << 14


def kill(pids):
    """SIGKILL to those that live still: one can end by the loss of another."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def listeners_below(root):
    """(address, port) of every TCP socket on which a process or its descendants listen."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(pid): int(parent) for pid, parent in map(str.split, found.stdout.splitlines())}

    def is_below(pid):
        while pid in parents and pid != root:
            pid = parents[pid]
        return pid == root

    links = [link for pid in filter(is_below, parents) for link in Path(f"/proc/{pid}/fd").glob("*")]
    sockets = {str(link.readlink()) for link in links if link.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [endpoint(row[1]) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


def endpoint(text):
    """`0100007F:1F90` is 127.0.0.1, port 8080: the kernel writes words of four bytes, each backwards."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    address = ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address, int(port, 16)
