"""The rooms for single results: images of a prompt; videos of a prompt, from a picture, or after a clip."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr

from ursa_ray.studio import markup
from ursa_ray.studio.answers import TOLD
from ursa_ray.studio.boards import CLIPS, PICTURES
from ursa_ray.studio.room import LOOK_EVERY_S, QUIET
from ursa_ray.studio.samples import Asked, Kind, Samples

PROMPTS = {
    "image": "a red circle over a green meadow",
    "video": "a red circle moves slowly to the right over a green meadow",
}


class SamplesRoom:
    """Lays itself out in the `gr.Blocks` around it."""

    def __init__(self, page: gr.Blocks, samples: Samples, kind: Kind):
        self._samples = samples
        self._kind: Kind = kind
        self.digest = gr.State("")
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                asked = self._ask()
                with gr.Row():
                    make = gr.Button("Make", variant="primary", min_width=100, elem_id=f"{kind}-make")
                    self.cancel = gr.Button(
                        "Cancel", variant="stop", min_width=100, interactive=False, elem_id=f"{kind}-cancel"
                    )
                message = gr.HTML(elem_id=f"{kind}-message")
            with gr.Column(scale=6, min_width=300):
                self.earlier = gr.Dropdown([], label="Made before", allow_custom_value=True, elem_id=f"{kind}-earlier")
                self.status, self.results = gr.HTML(elem_id=f"{kind}-status"), gr.HTML(elem_id=f"{kind}-results")
        page.load(self._load, None, self.earlier, **QUIET)
        self._look_on(make.click(self._make, asked, [self.earlier, message], **QUIET).then)
        self._look_on(self.cancel.click(self._cancel, self.earlier, message, **QUIET).then)
        self._look_on(gr.Timer(LOOK_EVERY_S).tick)

    def _ask(self) -> list[Any]:
        """What `_make` takes, in its order."""
        kind, is_video = self._kind, self._kind == "video"
        prompt = gr.Textbox(PROMPTS[kind], label="Prompt", lines=3, max_length=10_000, elem_id=f"{kind}-prompt")
        start = gr.File(
            label="Start from this picture, or go on after this clip",
            file_types=sorted(PICTURES | CLIPS),
            height=150,
            visible=is_video,
            elem_id=f"{kind}-start",
        )
        with gr.Row():
            number = gr.Number(1, label="How many", minimum=1, maximum=64, precision=0, min_width=90)
            seed = gr.Number(0, label="First seed", minimum=0, precision=0, min_width=90)
            extend = gr.Number(0, label="Extend", minimum=0, maximum=100, precision=0, min_width=90, visible=is_video)
            motion = gr.Number(9, label="Motion", minimum=0, maximum=100, min_width=90, visible=is_video)
        with gr.Accordion("Model and settings", open=False):
            model = gr.Textbox("tiny", label="Model: tiny, or a hub id such as BAAI/URSA-1.7B-IBQ1024", max_length=1000)
            with gr.Row():
                texts = ("Size", "Steps", "Guidance")
                size, steps, guidance = (
                    gr.Textbox(label=label, placeholder="the model's", max_length=11, min_width=90) for label in texts
                )
        return [prompt, model, size, number, seed, steps, guidance, motion, extend, start]

    def _load(self) -> Any:
        names = self._samples.names(self._kind)
        return gr.update(choices=names, value=names[0] if names else None)

    def _make(self, *asked: Any) -> tuple[Any, str]:
        """The name of what was begun, and a message."""
        settings, start = asked[:-1], asked[-1]
        try:
            kept = None if start is None else self._samples.keep(Path(start))
            name = self._samples.make(self._kind, replace(Asked(*settings), start=kept))
        except TOLD as error:
            return gr.skip(), markup.complained(error)
        return gr.update(choices=self._samples.names(self._kind), value=name), ""

    def _cancel(self, name: str | None) -> str:
        try:
            self._samples.cancel(self._kind, name or "")
        except TOLD as error:
            return markup.complained(error)
        return markup.said("Ending in order; make the same again to go on.")

    def _look(self, name: str | None, digest: str) -> tuple[Any, Any, Any, str]:
        if not name:
            return gr.skip(), gr.skip(), gr.skip(), digest
        try:
            found = self._samples.look(self._kind, name)
        except TOLD as error:
            return markup.complained(error), gr.skip(), gr.skip(), ""
        now = sha256(repr((name, found)).encode()).hexdigest()
        if now == digest:
            return gr.skip(), gr.skip(), gr.skip(), digest
        cancel = gr.update(interactive=found.view.can_cancel)
        return markup.status(found.view), markup.results(found.files), cancel, now

    def _look_on(self, trigger: Any) -> Any:
        outputs = [self.status, self.results, self.cancel, self.digest]
        return trigger(self._look, [self.earlier, self.digest], outputs, **QUIET)
