"""One segment in plain Python: condition, sample, decode, keep the frames.

A worker gets a request and yields a `Step` after each denoising step, then one `Done`. At chosen steps it writes what
the segment will likely be into the run, so that a bad one is seen early. Saved steps are written while the next step is
made, frames while the next segment is. What goes in and out is small
(codes, hashes); frames stay where they are made and in the run's media folder, from where the film is joined.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from functools import partial
from socket import gethostname
from time import perf_counter

import numpy as np
import torch

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.conditions import Conditions
from ursa_ray.errors import CheckpointError, MediaError, OutputError
from ursa_ray.exchange import Done, Request, Step, WorkerOptions, codes_dtype
from ursa_ray.ledger import Steps, Store, open_store, preview_name, refused
from ursa_ray.media import frames_sha256, preview_webp, write_mezzanine
from ursa_ray.model import (
    Devices,
    Ursa,
    choose_backends,
    choose_device,
    choose_dtype,
    device_model,
    device_name,
    require_draws,
)
from ursa_ray.plan import Segment
from ursa_ray.writer import Writer

# Codes along an edge of the known segment.
WARM_UP_CODES = 8


def require_devices(options: WorkerOptions) -> torch.device:
    """The first of the devices that a replica on this machine would have.

    Raises:
        OptionError: there are not so many here.
    """
    return Devices(choose_device(options.device), options.num_devices, options.parallel)[0]


def require_device(options: WorkerOptions) -> None:
    """Find out, before there is a model, whether one would compute here as it is asked to.

    Raises:
        OptionError: it would not.
    """
    device = require_devices(options)
    require_draws(options.draws, device)
    choose_backends(
        TransformerConfig(), device, choose_dtype(device, options.dtype), options.attention, compile=options.compile
    )


def generate_segment(
    ursa: Ursa,
    segment: Segment,
    condition: np.ndarray | None,
    resume: tuple[int, torch.Tensor] | None = None,
    preview_steps: Collection[int] = (),
    on_preview: Callable[[torch.Tensor], None] | None = None,
) -> Iterator[tuple[int, torch.Tensor]]:
    """(steps done, codes) of a segment that begins with `condition`, uint8 (frames, height, width, 3).

    `resume` takes what an earlier call yielded and goes on from there; previews are as of `Ursa.generate_steps`.
    """
    return ursa.generate_steps(
        segment.prompt,
        segment.negative_prompt,
        height=segment.height,
        width=segment.width,
        num_frames=segment.num_frames,
        num_inference_steps=segment.steps,
        guidance_scale=segment.guidance,
        guidance_trunc=segment.guidance_trunc,
        flow_shift=segment.flow_shift,
        cond_noise_scale=segment.cond_noise,
        restore_condition=segment.restore_condition,
        seed=segment.seed,
        max_prompt_length=segment.max_prompt_length,
        video=condition,
        resume=resume,
        preview_steps=preview_steps,
        on_preview=on_preview,
    )


class Worker:
    """A loaded model that makes one segment at a time.

    Raises:
        CheckpointError: the model is not to be had here, or is not the one that was planned with.
        ReplicaError: one of several devices could not load it.
    """

    def __init__(self, options: WorkerOptions):
        torch.set_num_threads(options.num_threads)
        self.ursa = Ursa.from_pretrained(
            options.model,
            device=options.device,
            dtype=options.dtype,
            attention=options.attention,
            draws=options.draws,
            compile=options.compile,
            num_devices=options.num_devices,
            parallel=options.parallel,
        )
        found = self.ursa.checkpoint.weights_sha256()
        if found != options.weights_sha256:
            raise CheckpointError(
                f"model {options.model!r} on {gethostname()} has other weights than the plan was made with. "
                "Fetch the same revision on every machine."
            )
        self._conditions = Conditions(self.ursa)
        self._store = open_store(options.run)
        self._steps = Steps(self._store)
        self._num_threads = options.num_threads
        self._save_steps, self._write_frames = Writer("steps"), Writer("frames")
        self._unsaved = ""  # the key of the latest segment of which a step was not saved
        self._writing: dict[str, Future[object]] = {}  # frames, by the key of their segment
        self._preview_steps = options.preview_steps
        self._likely: list[torch.Tensor] = []  # codes of a preview that is not written yet
        self._compiled: set[tuple[int, ...]] = set()
        self._untold = self.device_kind

    def run(self, request: Request) -> Iterator[Step | Done]:
        """Make a segment.

        Raises:
            OutputError: it is not what the segment can be.
            TimeoutError: what was to be written before still is being written.
            StoreError: frames that alone were asked for cannot be written.
        """
        if request.codes is None and self.ursa.backends.compile:
            self._compile_for(request.segment)
        started = perf_counter()
        segment = request.segment
        codes = request.codes
        if codes is None:
            try:
                for done, latest in self._generate(request):
                    codes = self._storable(latest)
                    unsaved = ""
                    if done < segment.steps and done % _save_every(segment.steps) == 0:
                        unsaved = self._save(segment.key, done, codes)
                    computes, self._untold = self._untold, ""
                    has_preview, unseen = self._preview(request)
                    warning = "; ".join(filter(None, (unsaved, unseen)))
                    yield Step(segment.key, done, segment.steps, has_preview, warning, computes)
            finally:
                self._save_steps.wait()  # whoever forgets the steps of a segment must not be too early
        assert codes is not None, segment
        frames = self._conditions.decoded(segment.key, codes)
        if len(frames) != segment.num_frames:
            raise OutputError(f"{segment.name}: decoded to {len(frames)} frames, expected {segment.num_frames}.")
        writing = self._write_frames.begin(partial(_keep, self._store, frames, request.fps))
        is_framed = request.codes is not None
        if is_framed:
            self._write_frames.require_written()  # nothing else was asked for
        else:
            self._writing[segment.key] = writing
        yield Done(
            segment.key,
            codes,
            frames_sha256(frames),
            device_name(self.ursa.device),
            str(self.ursa.dtype),
            self._num_threads,
            perf_counter() - started,
            is_framed,
            f"{self.ursa.backends}{self.ursa.sharing}",
        )

    def framed(self, key: str) -> Future[object]:
        """The writing of the frames of a segment that was `Done`; ask once for each."""
        return self._writing.pop(key)

    def close(self) -> None:
        """Let go of what does not go with this object: devices beyond the first."""
        self.ursa.close()

    @property
    def device_kind(self) -> str:
        """Devices of one kind give the same bits."""
        ursa = self.ursa
        computes = f"torch {torch.__version__}, {ursa.dtype}, {ursa.backends}, {self._num_threads} threads"
        return f"{device_model(ursa.device)} ({computes}{ursa.sharing})"

    def warm_up(self) -> str:
        """Make a known tiny segment; the hash of its codes and frames."""
        tokenizer = self.ursa.tokenizer
        edge_px = WARM_UP_CODES * tokenizer.spatial_stride
        codes = self.ursa.generate(
            "a red square moves to the right",
            height=edge_px,
            width=edge_px,
            num_frames=1 + tokenizer.temporal_stride,
            num_inference_steps=4,
        )
        answer = hashlib.sha256(codes.cpu().numpy().tobytes())
        answer.update(self.ursa.decode(codes).tobytes())
        return answer.hexdigest()

    def _compile_for(self, segment: Segment) -> None:
        """Have sizes that are new compiled, for one branch and for two, before any time is taken."""
        sizes = segment.height, segment.width, segment.num_frames, segment.max_prompt_length
        if sizes not in self._compiled:
            for guidance in (1.0, segment.guidance):
                alone = replace(segment, guidance=guidance, steps=1)
                list(generate_segment(self.ursa, alone, None))
            self._compiled.add(sizes)

    def _generate(self, request: Request) -> Iterator[tuple[int, torch.Tensor]]:
        """Steps done and codes, from where somebody has come with this segment."""
        saved = self._steps.latest(request.segment.key)
        reached = None if saved is None else (saved.num_done, torch.from_numpy(saved.codes.astype(np.int64)))
        self._likely.clear()
        begins_with = self._conditions.frames_before(request, self._store)
        previews = self._preview_steps, self._likely.append
        return generate_segment(self.ursa, request.segment, begins_with, reached, *previews)

    def _save(self, key: str, num_done: int, codes: np.ndarray) -> str:
        """Begin to save a step; why the one before was not saved, if that is not known yet of this segment."""
        warning = ""
        try:
            self._save_steps.require_written()
        except OSError as error:  # also of one that hangs: then the next cannot begin
            if self._unsaved != key:
                self._unsaved = key
                warning = f"a step could not be saved ({error}); until one can, an end costs more than one"
        self._save_steps.begin(partial(self._steps.save, key, num_done, codes))
        return warning

    def _preview(self, request: Request) -> tuple[bool, str]:
        """Write what the segment will likely be, if that is known now: whether there is a preview, or why not."""
        if not self._likely:
            return False, ""
        try:
            content = preview_webp(self.ursa.decode(self._likely.pop()), request.fps)
            self._store.put(preview_name(request.segment.key), content)
        except Exception as error:  # torch's, Pillow's, ffmpeg's or a store's: the segment can do without
            return False, f"its preview could not be written ({error})"
        return True, ""

    def _storable(self, codes: torch.Tensor) -> np.ndarray:
        return codes.cpu().numpy().astype(codes_dtype(self.ursa.tokenizer.num_codes))


def _keep(store: Store, frames: np.ndarray, fps: Fraction) -> None:
    """Not a method: a write that hangs would keep its worker, and so a model, from being let go.

    Raises:
        StoreError: that is none of the model's faults.
    """
    try:
        with store.writing("media") as folder:
            write_mezzanine(folder, frames, fps)
    except (OSError, MediaError) as error:  # that a disk is full ffmpeg finds out
        raise refused(store, "media", error) from error


def _save_every(num_steps: int) -> int:
    """So often that a death costs at most 2 % of a segment; a step is dear and its codes are small."""
    return max(1, num_steps // 50)
