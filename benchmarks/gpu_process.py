"""A side of `bench_gpu.py` as its driver sees it: asked, answering in time, and started anew when it breaks."""

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from gpu_record import Budget, RowError

HERE = Path(__file__).parent

# For which an answer is waited. What takes longest without hanging, a first step that is compiled, is below 60.
ANSWER_S = 100.0


class Side:
    """A process of `script`, with what it prints in `log`."""

    def __init__(self, python: str, script: str, pythonpath: Sequence[Path], device: str, budget: Budget, log: IO[str]):
        self._command = [python, str(HERE / script), device]
        before = os.environ.get("PYTHONPATH")
        paths = [*map(str, pythonpath), *([before] if before else [])]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
        self._budget, self._log = budget, log
        self._process: subprocess.Popen[str] | None = None
        self._loaded: dict[str, Any] | None = None

    def start(self) -> None:
        """Begin to load libraries, in the background."""
        self._answers: Queue[str] = Queue()
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._reader = Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True)
        self._reader.start()

    def load(self, **what: Any) -> Any:
        """Have it build a model, unless that is the one that it has."""
        if what == self._loaded and self._process is not None:
            return None
        self._loaded = None
        answer = self.ask("load", **what)
        self._loaded = what
        return answer

    @property
    def is_loaded(self) -> bool:
        return self._loaded is not None

    def ask(self, what: str, limit_s: float = ANSWER_S, **options: Any) -> Any:
        """Call a method of the side.

        Raises:
            RowError: it raised, ended, or took longer than `limit_s` or than there is time.
        """
        if self._process is None:
            self.start()
        assert self._process is not None and self._process.stdin is not None
        wait_s = max(1.0, min(self._budget.left_s, limit_s))
        try:
            self._process.stdin.write(json.dumps({"what": what, **options}) + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=wait_s)
        except (Empty, OSError):
            self.close(patience_s=0)
            raise RowError(f"{what}: no answer in {wait_s:.0f} s, or the process is gone") from None
        if not answer:
            code = self._process.wait()
            self.close()
            raise RowError(f"{what}: the process ended with {code} instead of an answer; see the log")
        found = json.loads(answer)
        if "error" in found:
            raise RowError(f"{what}: {found['error']}")
        return found["answer"]

    def close(self, patience_s: float = 10) -> None:
        """End it: by itself, so that what it started ends with it, or by force."""
        process, self._process, self._loaded = self._process, None, None
        if process is None:
            return
        assert process.stdin is not None
        with suppress(OSError):  # what was not yet written cannot be
            process.stdin.close()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
        self._reader.join(5)
        with process:  # closes its pipes
            pass


def _read(answers: IO[str] | None, queue: "Queue[str]") -> None:
    assert answers is not None
    for line in answers:
        queue.put(line)
    queue.put("")


def missing(python: str, modules: Sequence[str]) -> list[str]:
    """Those of `modules` that an interpreter does not find."""
    code = f"import importlib.util as u; print(*[m for m in {list(modules)!r} if u.find_spec(m) is None])"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return asked.stdout.split() if asked.returncode == 0 else [asked.stderr.strip().splitlines()[-1]]
