"""What a page that watches a film is sent: how its run is, its plan, and what there is to play."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr

from ursa_ray.errors import OptionError
from ursa_ray.studio import markup
from ursa_ray.studio.answers import TOLD, again_of, complained, named
from ursa_ray.studio.checking import Checked
from ursa_ray.studio.desk import Desk, Shown
from ursa_ray.studio.view import Plays, View

# What a page remembers of the last look: what it showed of the run, of which text the plan is, what is played, and
# which film was being rendered.
REMEMBERED = ("digest", "checked", "playing", "busy")

# What a look changes on the page, in this order, see `Watching.look`.
BUTTONS = ("render", "cancel", "retake", "play", "take_film", "take_tokens")
CHANGED = ("status", "cards", "part", *BUTTONS, "player", "problems", "plan", "foretold", "message")
LOOKED = (*CHANGED, *REMEMBERED)


class Watching:
    def __init__(self, desk: Desk):
        self._desk = desk

    def look(
        self,
        film: str | None,
        text: str,
        part: str | None,
        take: str,
        digest: str,
        checked: str,
        playing: str,
        busy: str,
    ) -> tuple[Any, ...]:
        """How a film is now, in the order of `LOOKED`; nothing is sent of what has not changed.

        All of it comes from here alone: if answers overtake each other on their way, the next one is right again.
        """
        try:
            film = named(film)
            shown = self._desk.look(film)
            run, digest = self._run(film, shown, part, digest)
            player, playing = self._player_of(film, shown, playing)
            plan, checked = self._plan(film, text, shown.view, part, take, checked)
        except TOLD as error:
            return *self._nothing(film, error, digest), "", "", ""
        now_busy = film if shown.view.is_busy else ""
        message = "" if busy == film != now_busy else gr.skip()  # what was said of a render ends with it
        return *run, player, *plan, message, digest, checked, playing, now_busy

    def _nothing(self, film: str | None, error: Exception, digest: str) -> tuple[Any, ...]:
        """Nothing of the film before stays on the page; one whose run is damaged can be rendered: that may mend it."""
        status = complained(self._desk, film, error) if film else ""
        now = _digest(film, status)
        if now == digest:
            return *[gr.skip()] * len(CHANGED), digest
        render = gr.update(value="Render", interactive=not isinstance(error, OptionError))
        buttons = (render, *[gr.update(interactive=False)] * (len(BUTTONS) - 1))
        part = gr.update(choices=[], value=None)
        return status, "", part, *buttons, markup.player(None, markup.NO_FILM), "", "", "", gr.skip(), now

    def _run(self, film: str, shown: Shown, part: str | None, digest: str) -> tuple[tuple[Any, ...], str]:
        """Status, cards, part and buttons."""
        now = _digest(film, shown, part)
        if now == digest:
            return (gr.skip(),) * (3 + len(BUTTONS)), digest
        view = shown.view
        can = (
            view.can_cancel,
            view.can_retake and part in view.parts,
            *[view.plays is not None] * 2,
            view.num_made > 0,
        )
        return (
            markup.status(view),
            markup.cards(view, shown.pictures),
            gr.update(choices=list(view.parts)),
            gr.update(value="Resume" if view.can_resume else "Render", interactive=view.can_render),
            *[gr.update(interactive=each) for each in can],
        ), now

    def _plan(
        self, film: str, text: str, view: View, part: str | None, take: str, checked: str
    ) -> tuple[tuple[Any, Any, Any], str]:
        """Problems, plan, and what taking a part again comes to.

        All again for each fortieth of the film that is made: what was new to the run is kept by now.
        """
        now = _digest(film, text, part, take, view.phase, 40 * view.num_made // max(1, len(view.segments)))
        if now == checked:
            return (gr.skip(), gr.skip(), gr.skip()), checked
        if not text.strip():
            return ("", "", ""), now
        found = self._desk.check(film, text)
        foretold = self._foretold(film, text, part, take, found) if view.can_retake else ""
        return (markup.problems(found), markup.plan_table(found), foretold), now

    def _foretold(self, film: str, text: str, part: str | None, take: str, found: Checked) -> str:
        try:
            again = again_of(part, take)
        except OptionError as error:
            return markup.complained(error)
        if again is None or found.plan is None:
            return ""
        return markup.foretold(again.part, self._desk.check(film, text, again), found)

    def _player_of(self, film: str, shown: Shown, playing: str) -> tuple[Any, str]:
        """A film that is finished is put into the player; what is played meanwhile of another one stays.

        The film before the last change is put there if nothing else of this film is, and told as such if it is.
        """
        is_other = playing.partition(" ")[0] != film
        if shown.film is not None:
            before = shown.view if shown.view.film else replace(shown.view, plays=Plays.BEFORE)
            player, now = self._player(film, shown.film, before)
            if playing != now and (shown.view.film or is_other or shown.film.name in playing):
                return player, now
        if is_other:
            return markup.player(None, markup.NO_FILM), film
        return gr.skip(), playing

    def play(self, film: str | None, playing: str) -> tuple[Any, str, str]:
        """Player, playing and message."""
        try:
            film = named(film)
            return *self._player(film, *self._desk.play(film)), ""
        except TOLD as error:
            return gr.skip(), playing, complained(self._desk, film, error)

    def _player(self, film: str, path: Path, view: View) -> tuple[str, str]:
        caption = markup.caption(view)
        return markup.player(path, caption), f"{film} {path.name} {caption}"


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()
