"""Single images and videos: what `ursa-ray image` and `ursa-ray video` make, each command a run of its own."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ursa_ray.errors import OptionError
from ursa_ray.files import file_sha256
from ursa_ray.ledger import SAMPLES
from ursa_ray.ledger.format import FORMAT_NAME
from ursa_ray.studio.asked import KINDS, Asked, Kind
from ursa_ray.studio.boards import CLIPS, PICTURES, copy_once, plain_name, require_name, require_usable
from ursa_ray.studio.children import Children
from ursa_ray.studio.looking import Look
from ursa_ray.studio.pictures import Pictures
from ursa_ray.studio.view import Phase, View, view

MAX_LABEL_CHARS = 60  # of a prompt


@dataclass(frozen=True)
class Results:
    """How far a command is, and the files that are there, by the names that they have in its run."""

    view: View
    files: dict[str, Path] = field(default_factory=dict)


class Samples:
    """Commands of both kinds, all with the options `making`, and their runs, in `folder`.

    Beside each run lies what was asked for.
    """

    def __init__(self, folder: Path, pictures: Pictures, making: Sequence[str] = ()):
        self._folder, self._pictures = folder, pictures
        self._uploads = folder / "uploads"
        self._children: dict[Kind, Children] = {kind: Children(folder / "logs" / kind, making) for kind in KINDS}
        self._looks: dict[str, Look] = {}
        self._lock = threading.Lock()

    def made(self, kind: Kind) -> list[tuple[str, str]]:
        """(label, name) of what was begun, the latest first; not of what ended before there was a run."""
        begun = sorted((self._folder / kind).glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        made = []
        for path in begun:
            with suppress(OptionError):
                if self._is_there(kind, path.stem):
                    made.append((_label(path), path.stem))
        return made

    def asked(self, kind: Kind, name: str) -> Asked:
        """What a run was begun with.

        Raises:
            OptionError: it was not begun here, or that is damaged.
        """
        return Asked.read(self._path(kind, name))

    def make(self, kind: Kind, asked: Asked) -> str:
        """Begin a command, or go on with it, if the same was asked for before; the name of its run.

        Raises:
            OptionError: there is no prompt, it is being made, or a text is none that a command can be given.
        """
        command, *arguments = asked.arguments(kind, self._uploads)
        path = self._path(kind, name := asked.name)
        asked.keep(path)
        self._children[kind].begin(name, command, f"--run={path.with_suffix('')}", *arguments)
        self._look(kind, name).expire()
        return name

    def resume(self, kind: Kind, name: str) -> str:
        """Go on with a run as it was begun.

        Raises:
            OptionError: it was not begun here, or is being made.
        """
        return self.make(kind, self.asked(kind, name))

    def keep(self, upload: Path) -> str:
        """A picture or clip to start from: by the hash of its content, under its first name; as `Asked.start`.

        Raises:
            OptionError, AssetError: it is none.
        """
        plain = plain_name(upload.name, PICTURES | CLIPS)
        require_usable(upload)
        folder = self._uploads / file_sha256(upload)
        kept = next(folder.glob("[!.]*"), folder / plain)
        copy_once(upload, kept)
        return f"{folder.name}/{kept.name}"

    def upload(self, start: str) -> Path:
        """A copy for the page of what was kept."""
        shown = self._pictures.folder / start
        copy_once(self._uploads / start, shown)
        return shown

    def cancel(self, kind: Kind, name: str) -> None:
        look = self._look(kind, name)
        look.expire()
        self._children[kind].interrupt(name, look.facts().holder)
        look.expire()

    def look(self, kind: Kind, name: str) -> Results:
        """How far a command is.

        Raises:
            LedgerError: its run is damaged.
        """
        look = self._look(kind, name)
        with look.lock:
            facts, run = look.facts(), look.run
            facts = replace(facts, complaint=facts.complaint.replace(f"{self._folder}/", ""))
            if run is None or facts.plan is None:
                return Results(view(facts))
            files = {name: self._pictures.result(run, f"{SAMPLES}/{name}") for name in run.store.names(SAMPLES)}
            is_done = len(files) >= len(facts.plan.shots) and facts.holder is None
            shown = view(replace(facts, film=SAMPLES if is_done else None))
            if is_done and shown.is_busy:  # its process has not ended yet
                shown = replace(shown, phase=Phase.JOINING)
            return Results(shown, files)

    def _is_there(self, kind: Kind, name: str) -> bool:
        is_run = (self._folder / kind / name / FORMAT_NAME).exists()
        return is_run or self._children[kind].is_running(name)

    def _path(self, kind: Kind, name: str) -> Path:
        return self._folder / kind / f"{require_name(name)}.json"

    def _look(self, kind: Kind, name: str) -> Look:
        url = str(self._folder / kind / require_name(name))
        with self._lock:
            if url not in self._looks:
                self._looks[url] = Look(url, name, self._children[kind])
            return self._looks[url]


def _label(path: Path) -> str:
    """Tells apart what has the same prompt."""
    asked, begun = Asked.read(path), datetime.fromtimestamp(path.stat().st_mtime)
    words = " ".join(asked.prompt.split())[:MAX_LABEL_CHARS]
    return f"{words}, seed {asked.seed or 0}, {begun:%d %b %H:%M:%S}"
