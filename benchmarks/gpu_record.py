"""What `bench_gpu.py` has measured, and how much time is left: rows that are written as soon as they are known."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from gpu_tables import tables


class RowError(Exception):
    """Something of a row could not be measured; the next row can."""


class Budget:
    """Seconds that are left of so many."""

    def __init__(self, seconds: float):
        self._end = monotonic() + seconds

    @property
    def left_s(self) -> float:
        return self._end - monotonic()


class Record:
    """Rows, in `gpu.json` and `gpu.md` of a folder, with `about` the run."""

    def __init__(self, folder: Path, about: dict[str, Any], budget: Budget):
        self.folder, self.about, self.budget = folder, about, budget
        self.rows = list[dict[str, Any]]()

    def row(self, name: str, estimate_s: float, measure: Callable[[], Any], **about: Any) -> Any:
        """Measure a row if there is time, and write it; None if it was not to be had."""
        row: dict[str, Any] = {"row": name, **about}
        began_s = monotonic()
        if self.budget.left_s < estimate_s:
            row["skipped"] = f"{self.budget.left_s:.0f} s were left of the about {estimate_s:.0f} s that it takes"
        else:
            try:
                row["found"] = measure()
            except RowError as error:
                row["error"] = str(error)
        row["took_s"] = round(monotonic() - began_s, 1)
        self.rows.append(row)
        self._write()
        said = row.get("skipped") or row.get("error") or "measured"
        sys.stderr.write(f"{self.budget.left_s:5.0f} s left | {name} {about or ''} {row['took_s']} s | {said}\n")
        return row.get("found")

    def _write(self) -> None:
        content = {**self.about, "rows": self.rows}
        (self.folder / "gpu.json").write_text(json.dumps(content, indent=1) + "\n")
        (self.folder / "gpu.md").write_text(tables(content))
