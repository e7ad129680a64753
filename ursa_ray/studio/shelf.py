"""The runs that can be opened: those of a folder that are of films, not of single results, and one elsewhere."""

import hashlib
from pathlib import Path

from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger import Run
from ursa_ray.ledger.format import FORMAT_NAME
from ursa_ray.studio.boards import NAME, require_name


class Shelf:
    """Each run is read until it is known what it is of, and no entry of it twice."""

    def __init__(self, folder: Path, opened: str | None = None):
        self._folder = folder
        self.opened = {} if opened is None else {_name_of(opened): opened}
        self._known: dict[tuple[str, int], bool] = {}
        self._undecided: dict[tuple[str, int], Run] = {}

    def url(self, film: str) -> str:
        return self.opened.get(film) or str(self._folder / require_name(film))

    def films(self) -> set[str]:
        """Of the folder."""
        there = list(self._folder.iterdir()) if self._folder.is_dir() else []
        return {path.name for path in there if NAME.fullmatch(path.name) and self._is_film(path)}

    def _is_film(self, path: Path) -> bool:
        try:
            which = path.name, (path / FORMAT_NAME).stat().st_mtime_ns
            if which not in self._known:
                run = self._undecided.pop(which, None) or Run.open(path)
                run.refresh()
                if not (run.samples or run.storyboard_sha256 or run.last_film):
                    self._undecided[which] = run
                    return True  # for all that is known
                self._known[which] = not run.is_sampling
            return self._known[which]
        except OSError:
            return False  # it is no run
        except (LedgerError, OptionError):
            return True  # what is wrong with it is told when it is opened


def _name_of(url: str) -> str:
    """A name for a run elsewhere that no run here has."""
    last = url.rstrip("/").rpartition("/")[2].lower()
    mark = hashlib.sha256(url.encode()).hexdigest()[:6]
    return f"{last[:50]}-{mark}" if NAME.fullmatch(last) else f"run-{mark}"
