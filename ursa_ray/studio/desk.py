"""What can be done in the storyboard room, without the page: check, render, cancel, retake, look, play, take home."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ursa_ray.errors import LedgerError, OptionError, StoryboardError
from ursa_ray.plan import Plan
from ursa_ray.storyboard import read_text
from ursa_ray.studio.assets import bring, with_uploads
from ursa_ray.studio.boards import NAME, NEW, Boards, Opened, film_name, require_name
from ursa_ray.studio.checking import Again, Checked, Had, check, problem
from ursa_ray.studio.children import Children
from ursa_ray.studio.looking import Look
from ursa_ray.studio.pictures import Pictures
from ursa_ray.studio.samples import Samples
from ursa_ray.studio.shelf import Shelf
from ursa_ray.studio.view import Facts, Plays, State, View, view

MAX_LISTED = 12  # parts, in a message
PRIVATE = ".studio"  # in the folder of the runs; no run can have this name


@dataclass(frozen=True)
class Shown:
    """A run as the page shows it: pictures of segments by key, and the film, or the one before its last change."""

    view: View
    pictures: dict[str, Path] = field(default_factory=dict)
    film: Path | None = None


class Desk:
    """`runs` is the folder of the runs, `storyboards` that of the examples, `opened` a run that is elsewhere.

    What it begins has the options `making`, such as --replicas=4.
    """

    def __init__(
        self, runs: Path, storyboards: Path, shown: Path, opened: str | None = None, making: Sequence[str] = ()
    ):
        self._storyboards = storyboards
        self._shelf = Shelf(runs, opened)
        self.boards = Boards(runs / PRIVATE / "boards")
        self._children = Children(runs / PRIVATE / "logs", making)
        self._pictures = Pictures(shown)
        self.samples = Samples(runs / PRIVATE / "samples", self._pictures, making)
        self._looks: dict[str, Look] = {}
        self._rendered: dict[str, Path] = {}
        self._lock = threading.Lock()

    def films(self) -> list[str]:
        """Names of what can be opened, runs of films and storyboards; what was asked for at the start comes first."""
        opened = self._shelf.opened
        return [*opened, *sorted((self._shelf.films() | set(self.boards.names())) - opened.keys())]

    def examples(self) -> list[str]:
        return sorted(path.stem for path in self._storyboards.glob("*.yaml") if NAME.fullmatch(path.stem))

    def url(self, film: str) -> str:
        return self._shelf.url(film)

    def open(self, film: str) -> Opened:
        """The storyboard of a film as it was left here, or as its run has kept it; an empty one if none is there."""
        require_name(film)
        if (opened := self.boards.open(film)) is not None:
            return opened
        if (kept := self._look(film).storyboard()) is not None:
            self._bring_assets(film, kept)
            return Opened(kept, "")
        return self.begin(film, film) if film in self.examples() else Opened("", "")

    def begin(self, film: str, example: str | None = None) -> Opened:
        """A new film: from an example, with the pictures and clips that it names, or from a few lines.

        Raises:
            OptionError: there is one of this name, or no such example.
        """
        if example is None:
            return self.boards.begin(film, NEW)
        if example not in self.examples():
            raise OptionError(f"{example[:60]!r} is no storyboard here. There are: {', '.join(self.examples())}.")
        path = self._storyboards / f"{example}.yaml"
        opened = self.boards.begin(film, path.read_text("utf-8"))
        self.boards.copy_assets(film, path)
        return opened

    def take_in(self, upload: Path) -> str:
        """A new film from an uploaded storyboard; its name, with a number if that of the file is taken."""
        try:
            text = read_text(upload)
        except StoryboardError as error:
            raise OptionError(f"{upload.name[:60]} {problem(str(error), upload).text}") from error
        name = first = film_name(upload.name)
        number = 1
        while name in self.films():
            number += 1
            name = f"{first}-{number}"
        self.boards.begin(name, text)
        return name

    def check(self, film: str, text: str, again: Again | None = None) -> Checked:
        """A text as it stands, beside what the film's run has of it; nothing is kept."""
        look = self._look(film)
        with look.lock:  # of what is quick: planning hashes pictures and decodes clips
            had = Had.of(self._facts(film), look.run)
        checked = check(text, self.boards.folder(film), had, again)
        uploads = self.boards.assets(film)
        return replace(checked, problems=tuple(with_uploads(each, uploads) for each in checked.problems))

    def render(self, film: str, text: str, again: Again | None = None) -> None:
        """Begin to render a text, or go on, in a process of its own.

        Raises:
            OptionError: it is being rendered, has mistakes, or has no such part.
        """
        now = view(self._facts(film))
        if again is not None and again.part not in now.parts:
            raise OptionError(f"Choose what to take again: {_listed(now.parts) or 'nothing is rendered yet'}.")
        checked = self.check(film, text, again)
        if checked.plan is None:
            first = checked.problems[0]
            where = "" if first.line is None else f"line {first.line}: "
            raise OptionError(f"Nothing was started. Mend the storyboard first: {where}{first.text}")
        if not now.can_render:
            by = "" if now.holder is None else f" by {now.holder}"
            raise OptionError(f"{film}: is being rendered already{by}. Wait for it, or cancel it first.")
        self._rendered[film] = board = self.boards.rendered(film, text)
        options = [f"--run={self.url(film)}", "--log-format=json", *_previews(checked.plan)]
        options += [] if again is None else [again.option]
        self._children.begin(film, "render", board, *options)
        self._look(film).expire()

    def cancel(self, film: str) -> None:
        """Interrupt who renders, as Ctrl-C does: what is committed stays, and at most a step is lost.

        Raises:
            OptionError: nobody does, or somebody elsewhere.
        """
        look = self._look(film)
        look.expire()
        self._children.interrupt(film, look.facts().holder)
        look.expire()

    def look(self, film: str) -> Shown:
        """What to show of a film now.

        Raises:
            LedgerError: the run is damaged.
        """
        look = self._look(film)
        with look.lock:
            facts = look.facts()
            now = view(replace(facts, complaint=self._told(film, facts.complaint)))
            if look.run is None or facts.plan is None:
                return Shown(now)
            begun = {each.key: each.num_done for each in now.segments if each.state is State.BEGUN}
            pictures = self._pictures.stills(look.run, facts.plan, facts.framed)
            pictures |= self._pictures.previews(look.run, begun)
            sha256 = facts.film_before.sha256 if facts.film_before is not None else facts.film
            return Shown(now, pictures, None if sha256 is None else self._pictures.film(look.run, sha256))

    def play(self, film: str) -> tuple[Path, View]:
        """The film, the one before its last change, or what is finished of it, as the view says that it `plays`.

        Raises:
            OptionError: its first segment is not finished yet.
        """
        look = self._look(film)
        with look.lock:
            shown = self.look(film)
            run, plan, now = look.run, look.facts().plan, shown.view
        if shown.film is not None and now.plays is not Plays.BEGINNING:
            return shown.film, now
        if plan is None or run is None or not now.num_playable:
            raise OptionError("There is nothing to play yet: the first segment of the film is not finished.")
        return self._pictures.film_so_far(run, plan, now.num_playable), replace(now, plays=Plays.BEGINNING)

    def tokens(self, film: str) -> Path:
        """The codes of what is committed.

        Raises:
            OptionError: nothing is.
        """
        look = self._look(film)
        with look.lock:
            facts = look.facts()
            if look.run is None or facts.plan is None or not facts.committed:
                raise OptionError("There are no tokens yet: no segment of the film is finished.")
            return self._pictures.tokens(look.run, facts.plan, facts.committed)

    def take(self, film: str, what: str) -> Path:
        """A download, named after the film: "tokens", or "film" as far as it is finished, which its name says.

        Raises:
            OptionError: nothing of it is finished.
        """
        if what == "tokens":
            return self._pictures.named(self.tokens(film), f"{film}.npz")
        path, now = self.play(film)
        parts: dict[Plays | None, str] = {
            Plays.BEFORE: "-before",
            Plays.BEGINNING: f"-first-{now.seconds_playable:.1f}s",
        }
        return self._pictures.named(path, f"{film}{parts.get(now.plays, '')}.mp4")

    def _bring_assets(self, film: str, text: str) -> None:
        look = self._look(film)
        plan = look.facts().plan
        if look.run is not None and plan is not None:
            bring(look.run, plan, self.boards.rendered(film, text))

    def _told(self, film: str, complaint: str) -> str:
        """A complaint with lines and names for paths of this machine; "" once its text was changed."""
        if not complaint or (board := self._rendered.get(film)) is None:
            return complaint
        opened = self.boards.open(film)
        if opened is not None and opened.text != board.read_text("utf-8"):
            return ""
        lines = [problem(line, board) for line in complaint.replace(self.url(film), film).splitlines()]
        return "\n".join(line.text if line.line is None else f"line {line.line}: {line.text}" for line in lines)

    def _facts(self, film: str) -> Facts:
        """Nothing of a run that is damaged: rendering it again mends that, or says what does."""
        try:
            return self._look(film).facts()
        except LedgerError:
            return Facts()

    def _look(self, film: str) -> Look:
        url = self.url(film)
        with self._lock:
            if film not in self._looks:
                self._looks[film] = Look(url, film, self._children)
            return self._looks[film]


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:MAX_LISTED]) + (", ..." if len(parts) > MAX_LISTED else "")


def _previews(plan: Plan) -> list[str]:
    """After a third and two thirds of the steps: the colours are there, and the shapes."""
    steps = min(segment.steps for segment in plan.segments)
    return [f"--preview={step}" for step in sorted({steps // 3, 2 * steps // 3}) if 1 < step < steps]
