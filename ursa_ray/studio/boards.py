"""The storyboards that are worked on in the studio: each in a folder of its own, with what was uploaded for it.

A text is kept as it is typed. Two people may have one open: who saves over a text that they have not seen is refused,
so nothing is lost.
"""

import hashlib
import re
import shutil
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from ursa_ray.errors import AssetError, InputError, OptionError
from ursa_ray.files import published
from ursa_ray.media import asset_sha256
from ursa_ray.storyboard import load_storyboard
from ursa_ray.storyboard.loading import MAX_STORYBOARD_BYTES

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME_IN_WORDS = "1 to 64 of a-z, 0-9, - and _, the first a letter or a digit"
BOARD = "storyboard.yaml"

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
CLIPS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".ts"})
STORYBOARDS = frozenset({".yaml", ".yml"})

NEW = """\
version: 1
title: A new film
model: tiny                       # or a hub id such as BAAI/URSA-1.7B-FSQ320
defaults: {motion: 3.0, seed: 1}
shots:
  - id: first
    prompt: a red circle moves slowly to the right over a green meadow
    duration: 2s
"""

MAX_NAME_CHARS = 80
MAX_FILM_CHARS = 56  # leaves room for a number


class StaleError(OptionError):
    """A text was changed by somebody else since it was read."""


@dataclass(frozen=True)
class Opened:
    """A storyboard's text, and what to save it over."""

    text: str
    version: str


class Boards:
    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob(f"*/{BOARD}"))

    def folder(self, name: str) -> Path:
        """Where the storyboard and its assets are; made if need be."""
        folder = self._folder / require_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, name: str) -> Path:
        return self.folder(name) / BOARD

    def open(self, name: str) -> Opened | None:
        """The text that was saved last; None if there is none."""
        try:
            text = (self._folder / require_name(name) / BOARD).read_text("utf-8")
        except FileNotFoundError:
            return None
        return Opened(text, version_of(text))

    def save(self, name: str, text: str, version: str) -> str:
        """Keep a text, if what is there is the version that it was made from ("" for none yet); its own version.

        Raises:
            StaleError: somebody else has changed it meanwhile.
            OptionError: it is too long, or no text.
        """
        if len(encoded(text)) > MAX_STORYBOARD_BYTES:
            raise OptionError("This is too long for a storyboard, expected at most 256 KB. It is not saved.")
        with self._lock:
            before = self.open(name)
            if before is not None and before.text == text:
                return before.version
            if version != ("" if before is None else before.version):
                raise StaleError(
                    f"{name}: somebody else has changed this storyboard since you opened it, so yours is not saved. "
                    "Copy what you need, and reload the page to see theirs; or begin a new film with your text."
                )
            _write(self.path(name), text)
        return version_of(text)

    def rendered(self, name: str, text: str) -> Path:
        """A copy of a text for a render to read: what is typed from now on, or rendered next, is not for this one."""
        path = self.folder(name) / f"rendered-{version_of(text)[:16]}.yaml"
        _write(path, text)
        return path

    def begin(self, name: str, text: str) -> Opened:
        """A new storyboard.

        Raises:
            OptionError: there is one of this name.
        """
        with self._lock:
            if self.open(require_name(name)) is not None:
                raise OptionError(
                    f"{name}: there is a film of this name already. Choose it above, or take another name."
                )
            _write(self.path(name), text)
        return Opened(text, version_of(text))

    def add_asset(self, name: str, upload: Path) -> str:
        """Keep an uploaded picture or clip for a storyboard, under a plain name; that name.

        Nothing that is there is replaced: another file of the same name gets a number.

        Raises:
            OptionError, AssetError: it is none.
        """
        plain = plain_name(upload.name, PICTURES | CLIPS)
        require_usable(upload)
        with self._lock:
            path = _free(self.folder(name) / plain, upload)
            copy_once(upload, path)
        return path.name

    def assets(self, name: str) -> list[str]:
        suffixes = PICTURES | CLIPS
        folder = self._folder / require_name(name)
        return sorted(
            str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.suffix.lower() in suffixes
        )

    def copy_assets(self, name: str, storyboard: Path) -> None:
        """Copy the pictures and clips that a storyboard elsewhere names; of one that is wrong, none."""
        try:
            board = load_storyboard(storyboard)
        except InputError:
            return  # it is shown with its mistakes
        root = storyboard.parent.resolve()
        for shot in board.shots:
            if (asset := board.asset_path(shot)) is not None:
                copy_once(asset, self.folder(name) / asset.resolve().relative_to(root))


def require_name(name: str) -> str:
    """A film's name, which names its folders.

    Raises:
        OptionError: it may lead elsewhere.
    """
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        shown = str(name)[:60]
        raise OptionError(f"{shown!r} cannot name a film, expected {NAME_IN_WORDS}.")
    return name


def plain_name(given: str, suffixes: frozenset[str]) -> str:
    """A file name of plain characters that leads nowhere, from whatever a browser sent.

    Raises:
        OptionError: its suffix is none of `suffixes`.
    """
    last = re.split(r"[/\\]", given)[-1]
    stem, _, suffix = last.rpartition(".")
    suffix = f".{suffix.lower()}"
    if suffix not in suffixes:
        raise OptionError(f"{last[:60]!r} is not taken, expected a file of {', '.join(sorted(suffixes))}.")
    return f"{_plain(stem)[:MAX_NAME_CHARS] or 'upload'}{suffix}"


def film_name(given: str) -> str:
    """What somebody calls a film, or its storyboard's file, as a name for it."""
    stem = given if Path(given).suffix.lower() not in STORYBOARDS else plain_name(given, STORYBOARDS).rpartition(".")[0]
    return _plain(stem).lower()[:MAX_FILM_CHARS].strip("-_") or "film"


def _plain(words: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_only).strip("-_")


def require_usable(upload: Path) -> None:
    """See that a picture decodes, and that a clip has a first frame.

    Raises:
        AssetError: it is none, as its user knows it.
    """
    try:
        asset_sha256(upload, "image" if upload.suffix.lower() in PICTURES else "clip")
    except AssetError as error:
        raise AssetError(str(error).replace(str(upload), upload.name[:60])) from error


def copy_once(source: Path, target: Path) -> None:
    """Whole or not at all; what is there stays."""
    if not target.exists():
        with published(target) as aside:
            shutil.copyfile(source, aside)


def encoded(text: str) -> bytes:
    """As UTF-8.

    Raises:
        OptionError: half of a character is in it, as a browser may send it.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        half = f"U+{ord(text[error.start]):04X}"
        raise OptionError(f"Line {line} holds half of a character ({half}), which no file can. Delete it.") from None


def version_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _free(path: Path, upload: Path) -> Path:
    """The path, or one with a number where another file is; that of the same file, if it is there."""
    candidate, number = path, 1
    while candidate.exists() and not _same(candidate, upload):
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        return hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()


def _write(path: Path, text: str) -> None:
    with published(path) as aside:
        aside.write_text(text, "utf-8")
