"""Renders as processes of their own: the command line, which neither a closed page nor a closed studio ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from ursa_ray.errors import OptionError
from ursa_ray.interrupt import INTERRUPTED

# What a run's lease says of who renders, see `Run.locked`; where nobody can be sure of it, more follows.
HOLDER = re.compile(r"process (\d+) on (\S+) since \d{4}-\d\d-\d\dT[\d:+]+")
NAMES = frozenset({"ursa-ray", "ursa_ray"})

# Drawn around complaints about options.
FRAME = " \u2500\u2502\u256d\u256e\u2570\u256f"

MAX_LOG_BYTES = 64 * 1024  # of the end of a log, which has the last words


@dataclass(frozen=True)
class Ended:
    """How a process ended, its last complaint, "" if it had none, and whether it was told to end."""

    code: int
    complaint: str
    was_told: bool = False

    @property
    def is_worth_telling(self) -> bool:
        # Within its first 0.1 to 0.3 s, before it handles signals, a process that is told to end dies of that; Python
        # itself, while it starts, with an exit code of 1 and the name of it.
        by_signal = self.code in (-signal.SIGINT, -signal.SIGTERM)
        by_python = self.code == 1 and self.complaint == "KeyboardInterrupt"
        return self.code not in (0, INTERRUPTED) and not (self.was_told and (by_signal or by_python))


class Children:
    """The processes that this studio began, by the name of what they make; logs lie in `folder`.

    All are given `options`.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()):
        self._folder, self._options = folder, options
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._told: dict[str, int] = {}  # to end, by process id
        self._lock = threading.Lock()

    def begin(self, name: str, command: str, *arguments: object) -> None:
        """Start a command of `ursa-ray` with these arguments.

        Raises:
            OptionError: one of this name is at work.
        """
        with self._lock:
            if self.is_running(name):
                raise OptionError(f"{name}: is being rendered already. Wait for it, or cancel it first.")
            self._folder.mkdir(parents=True, exist_ok=True)
            self._told.pop(name, None)
            with self.log(name).open("ab") as log:
                log.truncate(0)  # appending: a process that still writes to it leaves no hole
                self._processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "ursa_ray", command, *self._options, *map(str, arguments)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"COLUMNS": "400"},  # complaints about options on one line
                    start_new_session=True,  # Ctrl-C at the studio's terminal is for the studio
                )

    def is_running(self, name: str) -> bool:
        return self.pid(name) is not None

    def pid(self, name: str) -> int | None:
        """The process of this name, if it is at work."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.poll() is None else None

    def is_told(self, name: str, holder: str | None) -> bool:
        """Whether who is at work, or was until just now, was told to end by this studio, and is there still."""
        pid, told = self.pid(name) or pid_here(holder), self._told.get(name)
        return told is not None and (pid == told or (pid is None and holder is None and _is_ursa_ray(told)))

    def ended(self, name: str) -> Ended | None:
        """How the last process of this name ended; None if there was none, or it is at work."""
        process = self._processes.get(name)
        code = None if process is None else process.poll()
        if process is None or code is None:
            return None
        return Ended(code, last_complaint(self.log(name)), self._told.get(name) == process.pid)

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def interrupt(self, name: str, holder: str | None) -> None:
        """What Ctrl-C does, to the process of this name or, if there is none, to who holds the run's lease; once.

        Raises:
            OptionError: it is on another machine, or nobody's.
        """
        if self.is_told(name, holder):
            return  # told twice it would not end in order
        pid = self.pid(name) or pid_here(holder)
        if pid is None and holder is not None:
            raise OptionError(f"{name}: is rendered by {holder}, which cannot be interrupted from here. Stop it there.")
        try:
            if pid is None:
                raise ProcessLookupError
            os.kill(pid, signal.SIGINT)
            self._told[name] = pid
        except ProcessLookupError:
            raise OptionError(f"{name}: nobody renders it any more.") from None
        except PermissionError:
            raise OptionError(f"{name}: is rendered by another user ({holder}). Ask them to stop it.") from None


def pid_here(holder: str | None) -> int | None:
    """The process that holds a lease, if it is an `ursa-ray` of this machine.

    The lock of a folder's lease ends with its process, but in a bucket a lease outlives it by up to 30 s: the number
    may be another's by now.
    """
    match = None if holder is None else HOLDER.fullmatch(holder)
    if match is None or match[2] != gethostname():
        return None
    pid = int(match[1])
    return pid if pid > 1 and _is_ursa_ray(pid) else None


def _is_ursa_ray(pid: int) -> bool:
    """By its first words: `ursa-ray`, a Python with its path, or `python -m ursa_ray`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]
    except OSError:
        return False
    return any(Path(os.fsdecode(word)).name in NAMES for word in words)


def last_complaint(log: Path) -> str:
    """The last error that a process with `--log-format json` told, or the last line that is not JSON."""
    said = ""
    for line in _end_of(log).splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            said = line.strip(FRAME) or said
            continue
        if isinstance(told, dict) and told.get("level") == "error" and "message" in told:
            said = str(told["message"])
    return said


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
