"""The storyboard room: what is where on the page, and which event has which answer."""

import json
from functools import partial
from typing import Any

import gradio as gr

from ursa_ray.studio import markup
from ursa_ray.studio.answers import A_FEW_LINES, NO_FILM, Answers
from ursa_ray.studio.boards import CLIPS, PICTURES, STORYBOARDS
from ursa_ray.studio.watching import LOOKED, REMEMBERED, Watching

LOOK_EVERY_S = 1.0
LIST_EVERY_S = 3.0  # what can be chosen

# The address of the page names its film: whoever opens it again, or is given it, sees the same.
KEEP_ADDRESS = """(film) => {
    const address = new URL(window.location);
    film ? address.searchParams.set("film", film) : address.searchParams.delete("film");
    window.history.replaceState(null, "", address);
}"""
FOLLOW_LINK = "() => document.querySelector('#taken a')?.click()"

# What a reader is told of until the answer comes: what is finished of a film has to be put together first.
JOINING = {"film": "Joining ...", "tokens": "Packing ..."}

# The card that was clicked, for what takes its part again.
CHOOSE = """element.addEventListener("click", (event) => {
    const card = event.target.closest("[data-state=made]");
    if (card) trigger("click", {part: card.dataset.segment});
})"""

# Lines with mistakes are marked by their numbers in the gutter: the editor draws those near the window alone, several
# rows for one that is wrapped, and takes back whatever is done to its text.
MARK_LINES = """() => {
    const mark = () => {
        const wrong = new Set([...document.querySelectorAll("#problems .wrong")].map((each) => each.dataset.line));
        for (const number of document.querySelectorAll("#editor .cm-lineNumbers .cm-gutterElement"))
            number.classList.toggle("wrong", wrong.has(number.textContent));
    };
    const observer = new MutationObserver(mark);
    for (const place of document.querySelectorAll("#editor, #problems"))
        observer.observe(place, {childList: true, characterData: true, subtree: true});
}"""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Room:
    """Lays itself out in the `gr.Blocks` around it."""

    def __init__(self, page: gr.Blocks, answers: Answers, watching: Watching):
        self._page, self._answers, self._watching = page, answers, watching
        self.version, self.digest, self.checked, self.playing, self.busy = (gr.State("") for _ in range(5))
        self.said = gr.State("")  # of a film that is about to be opened
        self._choose()
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self._write()
            with gr.Column(scale=5, min_width=320):
                self._watch()
        self.cards = gr.HTML(elem_id="cards", js_on_load=CHOOSE)
        self.timer = gr.Timer(LOOK_EVERY_S)
        self._connect_choice()
        self._connect_work()

    def _choose(self) -> None:
        with gr.Row(elem_id="choose"):
            self.film = gr.Dropdown([], label="Film", allow_custom_value=True, scale=4, min_width=200, elem_id="film")
            self.name = gr.Textbox(
                label="New film", placeholder="its name", max_length=64, scale=2, min_width=130, elem_id="name"
            )
            self.example = gr.Dropdown(
                [(A_FEW_LINES, "")], value="", label="that begins as", scale=2, min_width=130, elem_id="example"
            )
            self.begin = gr.Button("Begin", scale=1, min_width=90, elem_id="begin")
        self.message = gr.HTML(markup.said(NO_FILM), elem_id="message")

    def _write(self) -> None:
        self.editor = gr.Code(
            language="yaml", lines=16, max_lines=24, wrap_lines=True, label="Storyboard", elem_id="editor"
        )
        self.problems = gr.HTML(elem_id="problems")
        self.upload = gr.UploadButton(
            "Upload pictures, clips or a storyboard",
            file_count="multiple",
            file_types=sorted(PICTURES | CLIPS | STORYBOARDS),
            size="sm",
            elem_id="upload",
        )
        self.assets = gr.HTML(elem_id="assets")
        self.plan = gr.HTML(elem_id="plan")

    def _watch(self) -> None:
        self.status = gr.HTML(elem_id="status")
        with gr.Row():
            self.render = _button("Render", "render", variant="primary")
            self.cancel = _button("Cancel", "cancel", variant="stop")
        self.player = gr.HTML(markup.player(None, markup.NO_FILM), elem_id="player")
        with gr.Row(elem_id="hand-out"):
            self.play = _button("Play what is finished", "play", size="sm")
            self.take_film = _button("Download film", "take-film", size="sm")
            self.take_tokens = _button("Download tokens", "take-tokens", size="sm")
        self.taken = gr.HTML(elem_id="taken")
        with gr.Row(elem_id="again"):
            # Any value is let through to be told by `Answers.retake`: what may be chosen changes all the time.
            self.part = gr.Dropdown(
                [],
                label="Take again, with another seed",
                allow_custom_value=True,
                scale=4,
                min_width=150,
                elem_id="part",
            )
            self.number = gr.Textbox(
                label="Take", placeholder="next", max_length=4, scale=1, min_width=90, elem_id="number"
            )
            self.retake = _button("Retake", "retake", scale=1)
        self.foretold = gr.HTML(elem_id="foretold")

    def _connect_choice(self) -> None:
        """What leads to another film, or to a first."""
        self._page.load(None, None, None, js=MARK_LINES)
        self._page.load(self._answers.load, None, [self.film, self.example], **QUIET)
        # Not when it is focused: Gradio keeps the index of what is chosen until that ends, and ticks another.
        listed = gr.State([])
        gr.Timer(LIST_EVERY_S).tick(self._answers.films, listed, [self.film, listed], **QUIET)
        chosen = [self.film, self.name, self.message]
        self.begin.click(self._answers.begin, [self.name, self.example], chosen, **QUIET)
        chosen = [self.film, self.assets, self.message, self.said]
        self.upload.upload(self._answers.upload, [self.film, self.upload], chosen, **QUIET)
        opened = [self.editor, self.version, self.assets, self.message, self.part, self.said]
        shown = self.film.change(self._answers.open_said, [self.film, self.said], opened, **QUIET)
        self._look_after(shown).then(None, self.film, None, js=KEEP_ADDRESS)
        self.film.change(lambda: "", None, self.taken, **QUIET)

    def _connect_work(self) -> None:
        typed = [self.film, self.editor, self.version]
        acted = [self.version, self.message]
        self._look_after(self.editor.input(self._answers.type, typed, acted, trigger_mode="always_last", **QUIET))
        self._look_after(self.render.click(self._answers.render, typed, acted, **QUIET))
        again = [self.part, self.number]
        self._look_after(self.retake.click(self._answers.retake, [*typed, *again], acted, **QUIET))
        self.cards.click(_part_of, None, self.part, **QUIET)
        self.part.change(lambda: "", None, self.number, **QUIET)  # a number is of a part
        for chosen in again:
            self._look_on(chosen.change)
        self._look_after(self.cancel.click(self._answers.cancel, self.film, self.message, **QUIET))
        played = [self.player, self.playing, self.message]
        begun = _tell(self.play, JOINING["film"], self.message)
        begun.then(self._watching.play, [self.film, self.playing], played, **QUIET)
        for button, what in ((self.take_film, "film"), (self.take_tokens, "tokens")):
            begun = _tell(button, JOINING[what], self.taken)
            taken = begun.then(partial(self._answers.take, what=what), self.film, self.taken, **QUIET)
            taken.then(None, None, None, js=FOLLOW_LINK)
        self._look_on(self.timer.tick)

    def _look_after(self, event: Any) -> Any:
        return self._look_on(event.then)

    def _look_on(self, trigger: Any) -> Any:
        inputs, outputs = ([getattr(self, name) for name in names] for names in (REMEMBERED, LOOKED))
        return trigger(self._watching.look, [self.film, self.editor, self.part, self.number, *inputs], outputs, **QUIET)


def _button(words: str, name: str, **looks: Any) -> gr.Button:
    """One that can be pressed once a look has found that it would do something."""
    return gr.Button(words, min_width=90, interactive=False, elem_id=name, **looks)


def _part_of(card: gr.EventData) -> str:
    return card.part


def _tell(button: gr.Button, words: str, where: gr.HTML) -> Any:
    """Say so at once, without asking the studio."""
    return button.click(None, None, where, js=f"() => {json.dumps(markup.said(words))}")
