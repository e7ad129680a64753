"""`evaluation.json` of a run: what a suite is sampled with, from before the first result on."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ursa_ray import __version__
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run, open_store
from ursa_ray.sampling.make import Made
from ursa_ray.sampling.planning import Planned
from ursa_ray.sampling.samples import Settings
from ursa_ray.suites import Suite

RECORD = "evaluation.json"


class RecordedFile(BaseModel, strict=True, extra="allow"):
    sha256: str


class Record(BaseModel, strict=True, extra="allow"):
    """What of a record is read again, to tell whether results are those that are asked for now."""

    suite: str
    out: str
    files: dict[str, RecordedFile]
    settings: dict[str, Any]
    first_seed: int
    weights_sha256: str


@dataclass(frozen=True)
class Evaluation:
    """A suite that is asked for.

    Attributes:
        seed: of the first sample of each prompt.
        planned: its samples, with the settings.
        out: folder or s3://bucket/prefix of the results.
        overwrite: whether results of something else, that are there, may be removed.
    """

    suite: Suite
    settings: Settings
    seed: int
    planned: Planned
    out: str
    overwrite: bool = False

    @cached_property
    def record(self) -> dict[str, Any]:
        """What is sampled, with what: all that is needed to do it again, as JSON has it."""
        suite, plan = self.suite, self.planned.plan
        segment = plan.segments[0]
        resolved = {
            "size": (plan.width, plan.height),
            "steps": segment.steps,
            "guidance": segment.guidance,
            "negative_prompt": segment.negative_prompt,
            "crf": plan.crf if self.settings.kind == "video" else None,
        }
        record = {
            "suite": suite.name,
            "out": self.out,
            "is_finished": False,
            "files": {role: _file(path) for role, path in suite.files.items()},
            "dimensions": suite.dimensions,
            "number": suite.number,
            "num_prompts": suite.num_prompts,
            "num_cut_prompts": self.planned.num_cut,
            "num_samples": suite.num_samples,
            "num_files": len(suite.results),
            "first_seed": self.seed,
            "settings": asdict(self.settings) | resolved,
            "width": plan.width,
            "height": plan.height,
            "frames": segment.num_frames,
            "weights_sha256": plan.weights_sha256,
            "plan_sha256": plan.sha256,
            "version": __version__,
        }
        return json.loads(json.dumps(record))

    def finished(self, run: Run, made: Made) -> dict[str, Any]:
        """The same with what all of it was made on."""
        commits = [run.segments[segment.key] for segment in self.planned.plan.segments]
        return self.record | {
            "is_finished": True,
            "devices": sorted({commit.device for commit in commits if commit.device}),
            "dtypes": sorted({commit.dtype for commit in commits if commit.dtype}),
            "generated_segments": made.generated_segments,
            "reused_segments": made.reused_segments,
        }


def read_record(run: Run) -> dict[str, Any] | None:
    """What was sampled last in a run; None if that is not known, or is in another form than ours."""
    if not run.store.exists(RECORD):
        return None
    try:
        return Record.model_validate_json(run.store.read(RECORD)).model_dump()
    except ValidationError:
        return None


def write_record(run: Run, record: dict[str, Any]) -> None:
    run.store.put(RECORD, json.dumps(record, indent=1).encode())


def differences(before: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """Why the results of one record cannot be among those of another: `steps was 16, is 15`."""
    was, now = _deciding(before), _deciding(record)
    return [
        f"{name} was {was.get(name)!r}, is {now.get(name)!r}" for name in was | now if now.get(name) != was.get(name)
    ]


def _deciding(record: dict[str, Any]) -> dict[str, Any]:
    """What decides each of the results. Where prompts and weights lie does not, only what is in them."""
    hashes = {f"--{role}": file["sha256"][:16] for role, file in record["files"].items()}
    settings = {name: value for name, value in record["settings"].items() if name != "model"}
    return {
        "out": open_store(record["out"]).anywhere,
        "suite": record["suite"],
        **settings,
        **hashes,
        "--seed": record["first_seed"],
        "weights": record["weights_sha256"][:16],
    }


def _file(path: Path) -> dict[str, str]:
    """Where a file or a folder of files is, and the hash of what is in it."""
    if path.is_file():
        return {"path": str(path), "sha256": file_sha256(path)}
    names = [f"{file_sha256(file)}  {file.name}\n" for file in sorted(path.iterdir()) if file.is_file()]
    return {"path": str(path), "sha256": hashlib.sha256("".join(names).encode()).hexdigest()}
