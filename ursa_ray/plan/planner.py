"""From a storyboard to a plan: settings resolved, shots cut into windows, seeds and keys derived from content."""

import hashlib
from bisect import bisect
from collections.abc import Mapping
from typing import Any

from ursa_ray.checkpoint import Checkpoint, TextTokenizer
from ursa_ray.errors import StoryboardError
from ursa_ray.plan.cost import segment_flops
from ursa_ray.plan.frame import resolve_frame
from ursa_ray.plan.motion import with_motion
from ursa_ray.plan.segments import (
    ClipCondition,
    Condition,
    ImageCondition,
    ParentCondition,
    Plan,
    PlannedShot,
    Segment,
    segment_key,
)
from ursa_ray.plan.windows import Window, split, tail
from ursa_ray.storyboard import Shot, Storyboard

# What the published scripts use where neither the storyboard nor the model says anything.
SETTINGS = {
    "negative_prompt": "",
    "motion": 9.0,
    "guidance_trunc": 0.9,
    "flow_shift": None,
    "seed": 0,
}


def plan_storyboard(
    storyboard: Storyboard, checkpoint: Checkpoint, assets: Mapping[str, str], cuts_prompts: bool = False
) -> Plan:
    """Resolve a storyboard into segments; `assets` holds the sha256 of the image or clip of each shot that has one.

    With `cuts_prompts` those of shots may be longer than the model reads: it then reads their beginning, as the
    published pipeline has it.

    Raises:
        StoryboardError: the storyboard asks for what the model cannot do.
    """
    return _Planner(storyboard, checkpoint, assets, cuts_prompts).plan()


class _Planner:
    def __init__(
        self, storyboard: Storyboard, checkpoint: Checkpoint, assets: Mapping[str, str], cuts_prompts: bool = False
    ):
        self.storyboard, self.checkpoint, self.assets = storyboard, checkpoint, assets
        self.cuts_prompts = cuts_prompts
        self.weights_sha256 = checkpoint.weights_sha256()
        folder = checkpoint.folder
        self.text = None if folder is None else TextTokenizer.from_folder(folder / "tokenizer")
        self.frame = resolve_frame(storyboard, checkpoint)
        self.last_segment: dict[str, Segment] = {}

    def plan(self) -> Plan:
        # Before any shot is cut: a mistake is found at once, and a day of film takes seconds to cut.
        prompts = [self._prompts(number, shot) for number, shot in enumerate(self.storyboard.shots)]
        shots, start = [], 0
        for number, shot in enumerate(self.storyboard.shots):
            shots.append(self._shot(number, shot, start, prompts[number]))
            start += shots[-1].num_frames
        return Plan(
            title=self.storyboard.title,
            model=self.checkpoint.name,
            weights_sha256=self.weights_sha256,
            width=self.frame.width,
            height=self.frame.height,
            fps=self.frame.fps,
            crf=self.storyboard.output.crf,
            shots=tuple(shots),
            cut=self.frame.cut,
        )

    def _shot(self, number: int, shot: Shot, start: int, prompts: list[tuple[int, str]]) -> PlannedShot:
        num_frames = self._num_frames(number, shot)
        condition = self._first_condition(shot)
        first_given = 0 if condition is None else condition.num_given
        settings = self._settings(shot)
        segments: list[Segment] = []
        for window in split(num_frames, self.frame.frames, self.frame.overlap, first_given):
            if segments:
                condition = self._after(segments[-1])
            prompt = _at(prompts, window)
            segments.append(self._segment(settings, len(segments), start, window, condition, prompt))
        self.last_segment[shot.id] = segments[-1]
        return PlannedShot(shot.id, num_frames, tuple(segments))

    def _settings(self, shot: Shot) -> dict[str, Any]:
        """What all segments of a shot share, by the names of a `Segment`."""
        frame, steps, guidance = self.frame, self._setting(shot, "steps"), self._setting(shot, "guidance")
        grid = self.checkpoint.codes_shape(frame.frames, frame.height, frame.width)
        max_prompt_length = self.checkpoint.defaults.max_prompt_length
        return {
            "shot": shot.id,
            "negative_prompt": self._setting(shot, "negative_prompt"),
            "width": frame.width,
            "height": frame.height,
            "num_frames": frame.frames,
            "steps": steps,
            "guidance": guidance,
            "guidance_trunc": self._setting(shot, "guidance_trunc"),
            "flow_shift": self._setting(shot, "flow_shift"),
            "max_prompt_length": max_prompt_length,
            "seed": self._setting(shot, "seed"),
            "flops": segment_flops(self.checkpoint, grid, steps, 2 if guidance > 1 else 1, max_prompt_length),
        }

    def _segment(
        self,
        settings: dict[str, Any],
        index: int,
        shot_start: int,
        window: Window,
        condition: Condition | None,
        prompt: str,
    ) -> Segment:
        frame = self.frame
        fields = settings | {
            "index": index,
            "prompt": prompt,
            # As published: an image conditions as it is, frames of a video are noised.
            "cond_noise": frame.cond_noise if isinstance(condition, ParentCondition | ClipCondition) else 0.0,
            "restore_condition": frame.restore_condition and condition is not None,
            "seed": _seed(settings["seed"], settings["shot"], index),
            "condition": condition,
            "shown": window.shown,
            "film": (shot_start + window.start, shot_start + window.stop),
        }
        return Segment(**fields, key=segment_key(fields, self.weights_sha256))

    def _first_condition(self, shot: Shot) -> Condition | None:
        if shot.continue_ is not None:
            return self._after(self.last_segment[shot.continue_])
        path = self.storyboard.asset_path(shot)
        if path is None:
            return None
        if shot.image is not None:
            return ImageCondition(self.assets[shot.id], path)
        return ClipCondition(self.assets[shot.id], path, self.frame.overlap, self.frame.fps)

    def _after(self, parent: Segment) -> ParentCondition:
        """What follows `parent` is conditioned on the last frames of it that the film shows."""
        stride = self.checkpoint.tokenizer.temporal_stride
        return ParentCondition(parent.key, *tail(parent.shown[1], self.frame.overlap, stride))

    def _num_frames(self, number: int, shot: Shot) -> int:
        if shot.frames is not None:
            return shot.frames
        assert shot.duration is not None, shot
        num_frames = round(shot.duration * self.frame.fps)
        if num_frames < 1:
            shortest = f"expected at least {float(1 / self.frame.fps):.3g}s at {self.frame.fps} frames a second."
            raise self._error(number, "duration", f"duration is shorter than a frame, {shortest}")
        return num_frames

    def _prompts(self, number: int, shot: Shot) -> list[tuple[int, str]]:
        """(first frame, prompt as the model reads it) of the shot and of each beat."""
        self._check_negative_prompt(number, shot)
        num_frames = self._num_frames(number, shot)
        if self.frame.is_still:
            self._check_still(number, shot, num_frames)
        prompts = [(0, self._read(shot, shot.prompt))]
        if not self.cuts_prompts:
            self._check_length(number, "prompt", prompts[0][1])
        for i, beat in enumerate(shot.beats):
            at = beat.frame if beat.frame is not None else round((beat.at or 0) * self.frame.fps)
            if not prompts[-1][0] < at < num_frames:
                between = f"after frame {prompts[-1][0]} and before the shot's end, frame {num_frames}"
                raise self._error(number, "beats", f"beats[{i}] is at frame {at}, expected {between}.", i)
            prompts.append((at, self._read(shot, beat.prompt)))
            self._check_length(number, "beats", prompts[-1][1], i, "prompt")
        return prompts

    def _read(self, shot: Shot, prompt: str) -> str:
        """With its motion, which prompts of images have never had."""
        return prompt if self.frame.is_still else with_motion(prompt, self._setting(shot, "motion"))

    def _check_still(self, number: int, shot: Shot, num_frames: int) -> None:
        """Whoever asks for segments of one frame asks for images."""
        for key, start in (("continue", shot.continue_), ("image", shot.image), ("video", shot.video)):
            if start is not None:
                words = f"{key} is given, but segments of one frame are images, which are made of text alone."
                raise self._error(number, key, f"{words} Leave it out.")
        if num_frames > 1:
            key = "duration" if shot.frames is None else "frames"
            raise self._error(number, key, f"has {num_frames} frames, expected 1: segments of one frame are images.")

    def _check_negative_prompt(self, number: int, shot: Shot) -> None:
        if shot.negative_prompt is not None:
            self._check_length(number, "negative_prompt", shot.negative_prompt)
        elif problem := self._too_long(self._setting(shot, "negative_prompt")):
            where = self.storyboard.where("defaults", "negative_prompt")
            raise StoryboardError(f"{where}: defaults: negative_prompt {problem}")

    def _check_length(self, number: int, key: str, prompt: str, *path: str | int) -> None:
        if problem := self._too_long(prompt):
            name = key if not path else "{}[{}].{}".format(key, *path)
            raise self._error(number, key, f"{name} {problem}", *path)

    def _too_long(self, prompt: str) -> str | None:
        """What is wrong with a prompt as the model reads it; None if nothing is."""
        limit = self.checkpoint.defaults.max_prompt_length
        num_tokens = 0 if self.text is None else self.text.count(prompt)
        if num_tokens <= limit:
            return None
        share = f"{1 - limit / num_tokens:.0%}"
        return f"has {num_tokens} tokens as the model reads it, expected at most {limit}. Shorten it by about {share}."

    def _setting(self, shot: Shot, name: str) -> Any:
        fallback = SETTINGS[name] if name in SETTINGS else getattr(self.checkpoint.defaults, name)
        choices = getattr(shot, name), getattr(self.storyboard.defaults, name), fallback
        return next((value for value in choices if value is not None), None)

    def _error(self, number: int, key: str, problem: str, *path: str | int) -> StoryboardError:
        return StoryboardError(f"{self.storyboard.where_in(number, key, *path)}: {problem}")


def _at(prompts: list[tuple[int, str]], window: Window) -> str:
    """The prompt in force in the middle of a window's new frames."""
    return prompts[bisect(prompts, window.start + window.stop, key=lambda known: 2 * known[0]) - 1][1]


def _seed(base: int, shot: str, index: int) -> int:
    """From content, so that inserting a shot does not change the others."""
    digest = hashlib.sha256(f"{base}/{shot}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
