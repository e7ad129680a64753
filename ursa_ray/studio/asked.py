"""What is asked for in the rooms of single results: options of the command line, kept beside the run as JSON."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import ConfigDict, TypeAdapter

from ursa_ray.errors import OptionError
from ursa_ray.files import published
from ursa_ray.studio.boards import PICTURES

Kind = Literal["image", "video"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")  # tabs and new lines may be in a prompt
MAX_WORDS_CHARS = 40  # of a prompt, in a name


@dataclass(frozen=True)
class Asked:
    """What to make, by the options of the command line; None and "" are what it takes where nothing is given.

    Attributes:
        start: an uploaded picture that a video starts from, or a clip that it goes on after; below the uploads.
        extend: go on for so many segments.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # for what is read

    prompt: str
    negative_prompt: str | None = ""
    model: str = "tiny"
    size: str | None = ""
    number: int | None = 1
    seed: int | None = 0
    steps: str | None = ""
    guidance: str | None = ""
    duration: str | None = ""
    motion: int | float | None = None  # 9 is not read as 9.0: it is part of the name
    extend: int | None = None
    start: str | None = None

    def arguments(self, kind: Kind, uploads: Path) -> list[str]:
        """Of the command line. The prompt comes last, where nothing of it can be an option.

        Raises:
            OptionError: there is no prompt, or a text is none that a command can be given.
        """
        if not self.prompt.strip():
            raise OptionError("There is no prompt. Say what to make.")
        options = {name: getattr(self, name) for name in ("negative_prompt", "model", "size", "number", "seed")}
        options |= {"steps": self.steps, "guidance": self.guidance}
        if kind == "video":
            options |= {"duration": self.duration, "motion": self.motion, "extend": self.extend or None}
            options |= {} if self.start is None else {self._starts_from: uploads / self.start}
        given = {name: str(value).strip() for name, value in options.items() if value is not None}
        named = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value]
        arguments = [kind, *named, "--log-format=json", "--", self.prompt]
        if (wrong := NO_TEXT.search("".join(arguments))) is not None:
            raise OptionError(f"There is a control character (U+{ord(wrong[0]):04X}) in what is asked for. Delete it.")
        return arguments

    @property
    def name(self) -> str:
        """A few words to recognise it by, and a hash of all that is asked for."""
        words = re.sub("[^a-z0-9]+", "-", self.prompt.lower()).strip("-")[:MAX_WORDS_CHARS].strip("-")
        return f"{words or 'prompt'}-{hashlib.sha256(self._json.encode()).hexdigest()[:8]}"

    def keep(self, path: Path) -> None:
        """What is there already stays as it was begun; what is damaged is mended."""
        if not path.exists() or path.read_bytes() != self._json.encode():
            with published(path) as aside:
                aside.write_text(self._json, "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was written.

        Raises:
            OptionError: it is not there, or damaged.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except FileNotFoundError:
            raise OptionError(f"{path.stem}: nothing of this name was made here. Choose one of the list.") from None
        except ValueError as error:
            raise OptionError(f"{path.stem}: what was asked for is damaged. Make it anew.") from error

    @property
    def _json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def _starts_from(self) -> str:
        return "image" if Path(self.start or "").suffix in PICTURES else "video"
