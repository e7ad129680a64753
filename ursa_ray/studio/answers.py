"""What each event of the storyboard room is answered with: the desk's methods, their errors told on the page."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr

from ursa_ray.errors import LedgerError, UrsaRayError
from ursa_ray.studio import markup
from ursa_ray.studio.boards import STORYBOARDS, film_name
from ursa_ray.studio.desk import Desk, Shown
from ursa_ray.studio.view import View

NO_FILM = "Choose a film above, or begin a new one."
NO_STORYBOARD = (
    "The storyboard of this film is not here: it was rendered elsewhere. Watching needs none; to render on, or to take "
    "a part again, paste it here."
)
NO_SUCH_FILM = "There is no film of this name. Begin it above."
A_FEW_LINES = "a few lines"
WHOLE = "The whole film, {:.1f} s"

# What a page remembers of the last look: what it showed of the run, of which text the plan is, what is played, and
# which film was being rendered.
REMEMBERED = ("digest", "checked", "playing", "busy")

# What a look changes on the page, in this order, see `Answers.look`.
CHANGED = ("status", "cards", "player", "render", "cancel", "part", "retake", "problems", "plan", "message")
LOOKED = (*CHANGED, *REMEMBERED)

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
        return self._desk.take_in(path) if _is_storyboard(path) else self._desk.boards.add_asset(film or "", path)

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
            return "", "", "", markup.complained(error), None

    def type(self, film: str | None, text: str, version: str) -> tuple[str, str]:
        """Version and message: what is typed is kept."""
        try:
            return self._desk.boards.save(film or "", text, version), ""
        except TOLD as error:
            return version, markup.complained(error)

    def render(self, film: str | None, text: str, version: str, part: str | None = None) -> tuple[str, str]:
        """Version and message."""
        try:
            version = self._desk.boards.save(film or "", text, version)
            self._desk.render(film or "", text, part)
        except TOLD as error:
            return version, markup.complained(error)
        return version, markup.said(f"Taking {part} again." if part else "")

    def cancel(self, film: str | None) -> str:
        try:
            self._desk.cancel(film or "")
        except TOLD as error:
            return markup.complained(error)
        return markup.said("Ending in order; what is committed is kept.")

    def look(self, film: str | None, text: str, digest: str, checked: str, playing: str, busy: str) -> tuple[Any, ...]:
        """How a film is now, in the order of `LOOKED`; nothing is sent of what has not changed.

        All of it comes from here alone: if answers overtake each other on their way, the next one is right again.
        """
        if not film:
            return *[gr.skip()] * len(CHANGED), digest, checked, playing, busy
        try:
            shown = self._desk.look(film)
            run, digest = self._run(film, shown, digest)
            plan, checked = self._plan(film, text, shown.view, checked)
            player, playing = self._player_of(film, shown, playing)
        except TOLD as error:
            same, render = [gr.skip()] * (len(CHANGED) - 4), gr.update(interactive=True)
            return self._complained(film, error), gr.skip(), gr.skip(), render, *same, "", checked, playing, busy
        now_busy = film if shown.view.is_busy else ""
        message = "" if busy == film != now_busy else gr.skip()  # what was said of a render ends with it
        return *run[:2], player, *run[2:], *plan, message, digest, checked, playing, now_busy

    def _complained(self, film: str, error: Exception) -> str:
        """Of a run that is damaged, without the folder that it is in."""
        words = str(error)
        return markup.complained(words.replace(self._desk.url(film), film) if isinstance(error, LedgerError) else words)

    def _run(self, film: str, shown: Shown, digest: str) -> tuple[tuple[Any, ...], str]:
        """Status, cards, render, cancel, part and retake."""
        now = _digest(film, shown)
        if now == digest:
            return (gr.skip(),) * 6, digest
        view = shown.view
        return (
            markup.status(view),
            markup.cards(view, shown.pictures),
            gr.update(value="Resume" if view.can_resume else "Render", interactive=view.can_render),
            gr.update(interactive=view.can_cancel),
            gr.update(choices=list(view.parts)),
            gr.update(interactive=view.can_retake),
        ), now

    def _plan(self, film: str, text: str, view: View, checked: str) -> tuple[tuple[Any, Any], str]:
        """Problems and plan; again for each tenth of the film that is made: what was new to the run is kept by now."""
        now = _digest(film, text, view.phase, 10 * view.num_made // max(1, len(view.segments)))
        if now == checked:
            return (gr.skip(), gr.skip()), checked
        if not text.strip():
            return ("", ""), now
        found = self._desk.check(film, text)
        return (markup.problems(found), markup.plan_table(found)), now

    def _player_of(self, film: str, shown: Shown, playing: str) -> tuple[Any, str]:
        """A film that is finished is put into the player; what is played meanwhile of another one stays."""
        is_other = playing.partition(" ")[0] != film
        if shown.film is not None and playing != f"{film} {shown.film.name}":
            return self._player(film, shown.film, WHOLE.format(shown.view.seconds))
        if is_other:
            return markup.player(None, "The film appears here."), film
        return gr.skip(), playing

    def play(self, film: str | None, playing: str) -> tuple[Any, str, str]:
        """Player, playing and message."""
        try:
            path, view = self._desk.play(film or ""), self._desk.look(film or "").view
        except TOLD as error:
            return gr.skip(), playing, markup.complained(error)
        part = f"The first {view.seconds_playable:.1f} s of {view.seconds:.1f} s"
        return *self._player(film or "", path, WHOLE.format(view.seconds) if view.film else part), ""

    def _player(self, film: str, path: Path, caption: str) -> tuple[str, str]:
        return markup.player(path, caption), f"{film} {path.name}"

    def take(self, film: str | None, what: str) -> str:
        """A download: the film as far as it is finished, or the tokens."""
        try:
            path = self._desk.take(film or "", what)
        except TOLD as error:
            return markup.complained(error)
        return markup.link(path, path.name, what)


def _is_storyboard(path: Path) -> bool:
    return path.suffix.lower() in STORYBOARDS


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()
