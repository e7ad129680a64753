"""Single images and videos: what `ursa-ray image` and `ursa-ray video` make, each command a run of its own."""

import hashlib
import re
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ursa_ray.errors import OptionError
from ursa_ray.files import file_sha256, published
from ursa_ray.ledger import SAMPLES
from ursa_ray.studio.boards import CLIPS, NAME, PICTURES, plain_name, require_name
from ursa_ray.studio.children import Children
from ursa_ray.studio.looking import Look
from ursa_ray.studio.pictures import Pictures
from ursa_ray.studio.view import Phase, View, view

Kind = Literal["image", "video"]

NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")  # tabs and new lines may be in a prompt
MAX_WORDS_CHARS = 40  # of a prompt, in a name


@dataclass(frozen=True)
class Asked:
    """What to make, by the options of the command line; "" is the model's own.

    Attributes:
        start: an uploaded picture that a video starts from, or a clip that it goes on after.
        extend: go on for so many segments.
    """

    prompt: str
    model: str = "tiny"
    size: str = ""
    number: int = 1
    seed: int = 0
    steps: str = ""
    guidance: str = ""
    motion: float | None = None
    extend: int | None = None
    start: Path | None = None

    def arguments(self, kind: Kind) -> list[str]:
        """Of the command line. The prompt comes last, where nothing of it can be an option."""
        start = None if self.start is None else "image" if self.start.suffix in PICTURES else "video"
        options = {"model": self.model, "size": self.size, "number": self.number, "seed": self.seed}
        options |= {"steps": self.steps, "guidance": self.guidance}
        if kind == "video":
            options |= {"motion": self.motion, "extend": self.extend or None}
            options |= {} if start is None else {start: self.start}
        given = [f"--{name}={str(value).strip()}" for name, value in options.items() if value not in (None, "")]
        return [kind, *given, "--log-format=json", "--", self.prompt]


@dataclass(frozen=True)
class Results:
    """How far a command is, and the files that are there, by the names that they have in its run."""

    view: View
    files: dict[str, Path] = field(default_factory=dict)


class Samples:
    """Commands of both kinds, all with the options `making`, and their runs, in `folder`."""

    def __init__(self, folder: Path, pictures: Pictures, making: Sequence[str] = ()):
        self._folder, self._pictures = folder, pictures
        self._children = Children(folder / "logs", making)
        self._looks: dict[str, Look] = {}
        self._lock = threading.Lock()

    def names(self, kind: Kind) -> list[str]:
        """Of the runs that are there, the latest first."""
        there = [path for path in (self._folder / kind).glob("*") if NAME.fullmatch(path.name)]
        return [path.name for path in sorted(there, key=lambda path: path.stat().st_mtime, reverse=True)]

    def make(self, kind: Kind, asked: Asked) -> str:
        """Begin a command, or go on with it, if the same was asked for before; the name of its run.

        Raises:
            OptionError: there is no prompt, it is being made, or a text is none that a command can be given.
        """
        if not asked.prompt.strip():
            raise OptionError("There is no prompt. Say what to make.")
        arguments = asked.arguments(kind)
        if (wrong := NO_TEXT.search("".join(arguments))) is not None:
            raise OptionError(f"There is a control character (U+{ord(wrong[0]):04X}) in what is asked for. Delete it.")
        name = _name(asked.prompt, arguments)
        run = self._folder / kind / name
        self._children.begin(f"{kind}-{name}", arguments[0], f"--run={run}", *arguments[1:])
        run.mkdir(parents=True, exist_ok=True)  # from now on it is listed
        self._look(kind, name).expire()
        return name

    def keep(self, upload: Path) -> Path:
        """A picture or clip to start from, under the hash of its content."""
        suffix = Path(plain_name(upload.name, PICTURES | CLIPS)).suffix
        kept = self._folder / "uploads" / f"{file_sha256(upload)}{suffix}"
        if not kept.exists():
            with published(kept) as aside:
                shutil.copyfile(upload, aside)
        return kept

    def cancel(self, kind: Kind, name: str) -> None:
        look = self._look(kind, name)
        look.expire()
        self._children.interrupt(f"{kind}-{name}", look.facts().holder)
        look.expire()

    def look(self, kind: Kind, name: str) -> Results:
        """How far a command is.

        Raises:
            LedgerError: its run is damaged.
        """
        look = self._look(kind, name)
        with look.lock:
            facts, run = look.facts(), look.run
            if run is None or facts.plan is None:
                return Results(view(facts))
            files = {name: self._pictures.result(run, f"{SAMPLES}/{name}") for name in run.store.names(SAMPLES)}
            is_done = len(files) >= len(facts.plan.shots) and facts.holder is None
            shown = view(replace(facts, film=SAMPLES if is_done else None))
            if is_done and shown.is_busy:  # its process has not ended yet
                shown = replace(shown, phase=Phase.JOINING)
            return Results(shown, files)

    def _look(self, kind: Kind, name: str) -> Look:
        url = str(self._folder / kind / require_name(name))
        with self._lock:
            if url not in self._looks:
                self._looks[url] = Look(url, f"{kind}-{name}", self._children)
            return self._looks[url]


def _name(prompt: str, arguments: list[str]) -> str:
    """A few words to recognise it by, and a hash of all that was asked for."""
    words = re.sub("[^a-z0-9]+", "-", prompt.lower()).strip("-")[:MAX_WORDS_CHARS].strip("-")
    return f"{words or 'prompt'}-{hashlib.sha256(repr(arguments).encode()).hexdigest()[:8]}"
