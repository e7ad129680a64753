"""The rooms for single results: images of a prompt; videos of a prompt, from a picture, or after a clip."""

from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr

from ursa_ray.studio import markup
from ursa_ray.studio.answers import TOLD
from ursa_ray.studio.asked import Asked, Kind
from ursa_ray.studio.boards import CLIPS, PICTURES
from ursa_ray.studio.models import is_fetched_first, models
from ursa_ray.studio.room import LIST_EVERY_S, LOOK_EVERY_S, QUIET
from ursa_ray.studio.samples import Samples
from ursa_ray.studio.view import Phase

PROMPTS = {
    "image": "a red circle over a green meadow",
    "video": "a red circle moves slowly to the right over a green meadow",
}
PARTS = {"image": "images", "video": "segments"}
THE_MODELS = {"placeholder": "the model's", "min_width": 90}


class SamplesRoom:
    """Lays itself out in the `gr.Blocks` around it."""

    def __init__(self, page: gr.Blocks, samples: Samples, kind: Kind):
        self._samples = samples
        self._kind: Kind = kind
        self.digest = gr.State("")
        self.asked: dict[str, Any] = {}
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self._ask()
                make = gr.Button("Make", variant="primary", elem_id=f"{kind}-make")
            with gr.Column(scale=6, min_width=300):
                self._watch()
        form = [self.asked[field.name] for field in fields(Asked)]
        begun = [self.chosen, self.message]
        page.load(self._load, None, self.chosen, **QUIET)
        page.load(self._models, None, self.asked["model"], **QUIET)
        gr.Timer(LIST_EVERY_S).tick(self._list, listed := gr.State([]), [self.chosen, listed], **QUIET)
        self._look_on(self.chosen.change(self._fill, self.chosen, form, **QUIET).then)
        self._look_on(make.click(self._make, form, begun, **QUIET).then)
        self._look_on(self.resume.click(self._resume, self.chosen, begun, **QUIET).then)
        self._look_on(self.cancel.click(self._cancel, self.chosen, self.message, **QUIET).then)
        self._look_on(gr.Timer(LOOK_EVERY_S).tick)

    def _ask(self) -> None:
        """A field of the form for each of `Asked`."""
        kind, is_video, asked = self._kind, self._kind == "video", self.asked
        asked["prompt"] = gr.Textbox(
            PROMPTS[kind], label="Prompt", lines=3, max_length=10_000, elem_id=f"{kind}-prompt"
        )
        asked["start"] = gr.File(
            label="Start from this picture, or go on after this clip",
            file_types=sorted(PICTURES | CLIPS),
            height=150,
            visible=is_video,
            elem_id=f"{kind}-start",
        )
        with gr.Row():
            asked["number"] = gr.Number(1, label="How many", precision=0, min_width=90, elem_id=f"{kind}-number")
            asked["seed"] = gr.Number(0, label="First seed", precision=0, min_width=90)
            asked["motion"] = gr.Number(9 if is_video else None, label="Motion", min_width=90, visible=is_video)
        with gr.Row(visible=is_video):
            asked["duration"] = gr.Textbox(label="Duration", placeholder="such as 4s", min_width=90)
            asked["extend"] = gr.Number(None, label="Extend (segments)", precision=0, min_width=90)
        with gr.Accordion("Model and settings", open=False, elem_id=f"{kind}-settings"):
            asked["model"] = gr.Dropdown(
                ["tiny"],
                value="tiny",
                label="Model: one of these, a folder, or a hub id",
                allow_custom_value=True,
                elem_id=f"{kind}-model",
            )
            asked["negative_prompt"] = gr.Textbox(label="Negative prompt: what not to make", max_length=10_000)
            with gr.Row():
                asked["size"] = gr.Textbox(label="Size", **THE_MODELS)
                asked["steps"] = gr.Textbox(label="Steps", **THE_MODELS, elem_id=f"{kind}-steps")
                asked["guidance"] = gr.Textbox(label="Guidance", **THE_MODELS)

    def _watch(self) -> None:
        kind = self._kind
        self.chosen = gr.Dropdown([], label="Made before", allow_custom_value=True, elem_id=f"{kind}-earlier")
        self.status = gr.HTML(elem_id=f"{kind}-status")
        with gr.Row():
            self.resume = gr.Button("Resume", min_width=100, interactive=False, elem_id=f"{kind}-resume")
            self.cancel = gr.Button(
                "Cancel", variant="stop", min_width=100, interactive=False, elem_id=f"{kind}-cancel"
            )
        self.message = gr.HTML(elem_id=f"{kind}-message")
        self.results = gr.HTML(elem_id=f"{kind}-results")

    def _load(self) -> Any:
        made = self._samples.made(self._kind)
        return gr.update(choices=made, value=made[0][1] if made else None)

    def _list(self, listed: list[tuple[str, str]]) -> tuple[Any, list[tuple[str, str]]]:
        """What can be chosen by now, if that is not what is listed."""
        made = self._samples.made(self._kind)
        return gr.skip() if made == listed else gr.update(choices=made), made

    def _models(self) -> Any:
        return gr.update(choices=models(self._kind))

    def _fill(self, name: str | None) -> list[Any]:
        """The form as it was for what is chosen, to see, to change, and to make again."""
        try:
            asked = asdict(self._samples.asked(self._kind, name or ""))
            start = asked["start"]
            return [*(asked | {"start": None if start is None else str(self._samples.upload(start))}).values()]
        except TOLD:
            return [gr.skip()] * len(self.asked)

    def _make(self, *form: Any) -> tuple[Any, str]:
        """What is chosen then, and a message."""
        given = {field.name: value for field, value in zip(fields(Asked), form, strict=True)}
        try:
            start = None if given["start"] is None else self._samples.keep(Path(given["start"]))
            asked = Asked(**given | {"start": start, "model": given["model"] or "tiny"})
            said = (
                f"{asked.model} is not on this machine: it is fetched first." if is_fetched_first(asked.model) else ""
            )
            return self._begun(self._samples.make(self._kind, asked), said)
        except TOLD as error:
            return gr.skip(), markup.complained(error)

    def _resume(self, name: str | None) -> tuple[Any, str]:
        try:
            return self._begun(self._samples.resume(self._kind, name or ""), "")
        except TOLD as error:
            return gr.skip(), markup.complained(error)

    def _begun(self, name: str, said: str) -> tuple[Any, str]:
        return gr.update(choices=self._samples.made(self._kind), value=name), markup.said(said)

    def _cancel(self, name: str | None) -> str:
        try:
            self._samples.cancel(self._kind, name or "")
        except TOLD as error:
            return markup.complained(error)
        return markup.said("Ending in order; what is committed is kept.")

    def _look(self, name: str | None, digest: str) -> tuple[Any, ...]:
        """Nothing is sent of what has not changed; what was said of a command ends with it."""
        same = (gr.skip(),) * 5
        if not name:
            return *same, digest
        try:
            found = self._samples.look(self._kind, name)
        except TOLD as error:
            return markup.complained(error), *same[1:], ""
        now = sha256(repr((name, found)).encode()).hexdigest()
        if now == digest:
            return *same, digest
        view = found.view
        return (
            markup.status(view, PARTS[self._kind]),
            markup.results(found.files),
            gr.update(interactive=view.can_cancel),
            gr.update(interactive=view.phase is Phase.PAUSED),
            gr.skip() if view.is_busy else "",
            now,
        )

    def _look_on(self, trigger: Any) -> Any:
        outputs = [self.status, self.results, self.cancel, self.resume, self.message, self.digest]
        return trigger(self._look, [self.chosen, self.digest], outputs, **QUIET)
