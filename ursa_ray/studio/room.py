"""The storyboard room: what is where on the page, and which event has which answer."""

from functools import partial
from typing import Any

import gradio as gr

from ursa_ray.studio import markup
from ursa_ray.studio.answers import A_FEW_LINES, LOOKED, NO_FILM, REMEMBERED, Answers
from ursa_ray.studio.boards import CLIPS, PICTURES, STORYBOARDS

LOOK_EVERY_S = 1.0
LIST_EVERY_S = 3.0  # what can be chosen

# The address of the page names its film: whoever opens it again, or is given it, sees the same.
KEEP_ADDRESS = """(film) => {
    const address = new URL(window.location);
    film ? address.searchParams.set("film", film) : address.searchParams.delete("film");
    window.history.replaceState(null, "", address);
}"""
FOLLOW_LINK = "() => document.querySelector('#taken a')?.click()"

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Room:
    """Lays itself out in the `gr.Blocks` around it."""

    def __init__(self, page: gr.Blocks, answers: Answers):
        self._page, self._answers = page, answers
        self.version, self.digest, self.checked, self.playing, self.busy = (gr.State("") for _ in range(5))
        self.said = gr.State("")  # of a film that is about to be opened
        self._choose()
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self._write()
            with gr.Column(scale=5, min_width=320):
                self._watch()
        self.cards = gr.HTML(elem_id="cards")
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
            self.render = gr.Button("Render", variant="primary", min_width=100, elem_id="render")
            self.cancel = gr.Button("Cancel", variant="stop", min_width=100, interactive=False, elem_id="cancel")
        self.player = gr.HTML(markup.player(None, "The film appears here."), elem_id="player")
        with gr.Row(elem_id="hand-out"):
            self.play = gr.Button("Play what is finished", size="sm", min_width=100, elem_id="play")
            self.take_film = gr.Button("Download film", size="sm", min_width=100, elem_id="take-film")
            self.take_tokens = gr.Button("Download tokens", size="sm", min_width=100, elem_id="take-tokens")
        self.taken = gr.HTML(elem_id="taken")
        with gr.Row(elem_id="again"):
            self.part = gr.Dropdown([], label="Take again, with another seed", scale=3, min_width=160, elem_id="part")
            self.retake = gr.Button("Retake", scale=1, min_width=90, interactive=False, elem_id="retake")

    def _connect_choice(self) -> None:
        """What leads to another film, or to a first."""
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

    def _connect_work(self) -> None:
        typed = [self.film, self.editor, self.version]
        acted = [self.version, self.message]
        self._look_after(self.editor.input(self._answers.type, typed, acted, trigger_mode="always_last", **QUIET))
        self._look_after(self.render.click(self._answers.render, typed, acted, **QUIET))
        self._look_after(self.retake.click(self._answers.render, [*typed, self.part], acted, **QUIET))
        self._look_after(self.cancel.click(self._answers.cancel, self.film, self.message, **QUIET))
        self.play.click(
            self._answers.play, [self.film, self.playing], [self.player, self.playing, self.message], **QUIET
        )
        for button, what in ((self.take_film, "film"), (self.take_tokens, "tokens")):
            taken = button.click(partial(self._answers.take, what=what), self.film, self.taken, **QUIET)
            taken.then(None, None, None, js=FOLLOW_LINK)
        self._look_on(self.timer.tick)

    def _look_after(self, event: Any) -> Any:
        return self._look_on(event.then)

    def _look_on(self, trigger: Any) -> Any:
        inputs, outputs = ([getattr(self, name) for name in names] for names in (REMEMBERED, LOOKED))
        return trigger(self._answers.look, [self.film, self.editor, *inputs], outputs, **QUIET)
