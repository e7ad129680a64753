"""What each event of the storyboard room is answered with: the desk's methods, their errors told on the page."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from ursa_ray.errors import OptionError, UrsaRayError
from ursa_ray.studio import markup
from ursa_ray.studio.boards import STORYBOARDS, film_name
from ursa_ray.studio.checking import Again
from ursa_ray.studio.desk import Desk

NO_FILM = "Choose a film above, or begin one."
NO_STORYBOARD = (
    "The storyboard of this film is not here: it was rendered elsewhere. Watching needs none; to render on, or to take "
    "a part again, paste it here."
)
NO_SUCH_FILM = "There is no film of this name. Begin it above."
A_FEW_LINES = "a few lines"
TAKE = re.compile("[1-9][0-9]{0,3}")

# What keeps a page from being answered; anything else is a mistake of ours, and is told as such by Gradio.
TOLD = (UrsaRayError, OSError)


class Answers:
    def __init__(self, desk: Desk):
        self._desk = desk

    def load(self, request: gr.Request) -> tuple[Any, Any]:
        """What a page that is opened can choose from; its address may name a film."""
        films, examples = self._desk.films(), self._desk.examples()
        film = request.query_params.get("film") or (films[0] if films else None)
        first = "quickstart" if "quickstart" in examples else None
        begins_as = [(A_FEW_LINES, ""), *((name, name) for name in examples)]
        return gr.update(choices=films, value=film), gr.update(choices=begins_as, value=first or "")

    def films(self, listed: list[str]) -> tuple[Any, list[str]]:
        """What can be chosen by now, if that is not what is listed: others begin films, too."""
        films = self._desk.films()
        return gr.skip() if films == listed else gr.update(choices=films), films

    def begin(self, name: str, example: str | None) -> tuple[Any, Any, str]:
        """Film, name and message."""
        film = film_name(name) if name.strip() else example or ""
        try:
            self._desk.begin(film, example or None)
        except TOLD as error:
            return gr.skip(), gr.skip(), markup.complained(error)
        return gr.update(choices=self._desk.films(), value=film), "", ""

    def upload(self, film: str | None, paths: list[str]) -> tuple[Any, Any, str, str]:
        """Film, assets and message, and what to say once the film is open.

        A storyboard becomes a film of its own, which gets the pictures and clips that come with it.
        """
        kept, chosen, refused = [], film, ""
        for path in sorted(map(Path, paths), key=lambda path: not _is_storyboard(path)):
            try:
                kept.append(self._keep(chosen, path))
            except TOLD as error:
                refused += markup.complained(error)
            else:
                chosen = kept[-1] if _is_storyboard(path) else chosen
        if not kept:
            return gr.skip(), gr.skip(), refused, ""
        listed = markup.assets(self._desk.boards.assets(chosen)) if chosen else ""
        message = markup.said(f"Kept: {', '.join(kept)}.") + refused
        return gr.update(choices=self._desk.films(), value=chosen), listed, message, message if chosen != film else ""

    def _keep(self, film: str | None, path: Path) -> str:
        return self._desk.take_in(path) if _is_storyboard(path) else self._desk.boards.add_asset(named(film), path)

    def open_said(self, film: str | None, said: str) -> tuple[Any, ...]:
        """As `open`; what was said of this film before it was open stays, and is forgotten."""
        editor, version, assets, message, part = self.open(film)
        return editor, version, assets, message or said, part, ""

    def open(self, film: str | None) -> tuple[str, str, str, str, None]:
        """Editor, version, assets, message and part of a film that was chosen."""
        if not film:
            return "", "", "", markup.said(NO_FILM), None
        try:
            opened = self._desk.open(film)
            missing = NO_STORYBOARD if film in self._desk.films() else NO_SUCH_FILM
            message = "" if opened.text else markup.said(missing)
            return opened.text, opened.version, markup.assets(self._desk.boards.assets(film)), message, None
        except TOLD as error:
            return "", "", "", complained(self._desk, film, error), None

    def type(self, film: str | None, text: str, version: str) -> tuple[str, str]:
        """Version and message: what is typed is kept."""
        try:
            return self._desk.boards.save(named(film), text, version), ""
        except TOLD as error:
            return version, complained(self._desk, film, error)

    def render(self, film: str | None, text: str, version: str, again: Again | None = None) -> tuple[str, str]:
        """Version and message."""
        try:
            film = named(film)
            version = self._desk.boards.save(film, text, version)
            self._desk.render(film, text, again)
        except TOLD as error:
            return version, complained(self._desk, film, error)
        return version, "" if again is None else markup.said(f"Taking {again.part} again.")

    def retake(self, film: str | None, text: str, version: str, part: str | None, take: str) -> tuple[str, str]:
        """Version and message; with no part chosen nothing is begun."""
        try:
            again = again_of(part, take)
        except TOLD as error:
            return version, markup.complained(error)
        return self.render(film, text, version, again or Again(""))

    def cancel(self, film: str | None) -> str:
        try:
            self._desk.cancel(named(film))
        except TOLD as error:
            return complained(self._desk, film, error)
        return markup.said("Ending in order; what is committed is kept.")

    def take(self, film: str | None, what: str) -> str:
        """A download: the film as far as it is finished, or the tokens."""
        try:
            path = self._desk.take(named(film), what)
        except TOLD as error:
            return complained(self._desk, film, error)
        return markup.link(path, path.name, what)


def _is_storyboard(path: Path) -> bool:
    return path.suffix.lower() in STORYBOARDS


def named(film: str | None) -> str:
    """The name of a film.

    Raises:
        OptionError: none is chosen.
    """
    if not film:
        raise OptionError(NO_FILM)
    return film


def again_of(part: str | None, take: str) -> Again | None:
    """What to take again, None if nothing is chosen; `take` is "" for the next one.

    Raises:
        OptionError: it is no number of a take.
    """
    take = take.strip()
    if take and TAKE.fullmatch(take) is None:
        raise OptionError(f"Take is {take[:20]!r}, expected a number from 1 to 9,999, or nothing for the next one.")
    return Again(part, int(take) if take else None) if part else None


def complained(desk: Desk, film: str | None, error: Exception) -> str:
    """Without the folder that a run is in."""
    words = str(error)
    with suppress(OptionError):
        words = words.replace(desk.url(film or ""), film or "")
    return markup.complained(words)
