"""What a training run is: one YAML file, read strictly; every number that decides the weights is here.

The rest of the package never reads it. Sizes of networks are given in the words of their published configuration files.
"""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.errors import OptionError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Section):
    """Steps and rates of one network. Rates rise for `warmup` steps, stay until `hold` of all steps, fall to 0.

    Attributes:
        batch: clips per process and step.
        muon: rate of matrices and kernels; None leaves them to AdamW as well.
        adamw: rate of everything else.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    muon: float | None = Field(default=0.008, gt=0)
    adamw: float = Field(default=0.003, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=100, ge=0)
    hold: float = Field(default=0.0, ge=0, le=1)
    average: float = Field(default=0.99, ge=0, lt=1)
    save_every: int = Field(default=200, gt=0)
    look_every: int = Field(default=200, gt=0)
    log_every: int = Field(default=10, gt=0)


class TokenizerTraining(Schedule):
    """Attributes:
    noise_until: share of the steps with uniform noise in place of rounding.
    spread, spread_until: weight of an even spread of digits, and the share of the steps after which it has fallen to 0.
    idempotence_from: share of the steps after which codes must survive decoding and encoding.
    """

    noise_until: float = Field(default=0.15, ge=0, le=1)
    spread: float = Field(default=1.0, ge=0)
    spread_until: float = Field(default=0.5, gt=0, le=1)
    idempotence_from: float = Field(default=0.7, ge=0, le=1)
    idempotence: float = Field(default=0.2, ge=0)
    foreground: float = Field(default=4.0, ge=1)
    gradient: float = Field(default=1.0, ge=0)


class TransformerTraining(Schedule):
    """Attributes:
    one_time, time_per_frame: shares of the clips; the rest begins with clean or nearly clean latent frames.
    foreground: weight of a token that shows the object, falling to 1 over the run.
    """

    one_time: float = Field(default=0.45, ge=0, le=1)
    time_per_frame: float = Field(default=0.2, ge=0, le=1)
    max_condition: int = Field(default=2, ge=1)
    prompt_dropout: float = Field(default=0.1, ge=0, le=1)
    prefix_dropout: float = Field(default=0.1, ge=0, le=1)
    foreground: float = Field(default=4.0, ge=1)


class Model(_Section):
    """Sizes; a fine-tuned model has those in OF_THE_CHECKPOINT already.

    Vocabulary and number of codes follow from text and levels.
    """

    transformer: dict[str, Any] = {}
    tokenizer: dict[str, Any] = {}
    path: dict[str, Any] = {"alpha": 1.0, "c": 5.0, "shift": 3.0}
    width: int = 64
    height: int = 48
    fps: int = 12
    frames: int = 17
    overlap: int = 5
    steps: int = 16
    guidance: float = Field(default=3.0, ge=0)
    max_prompt_length: int = 32

    def tokenizer_config(self) -> VideoTokenizerConfig:
        return VideoTokenizerConfig.from_json(self.tokenizer, "model: tokenizer")

    def transformer_config(self, num_text: int, num_codes: int) -> TransformerConfig:
        sizes = {
            "vocab_size": num_text + num_codes,
            "lm_vocab_size": num_text,
            "lm_head_size": num_codes,
            "bov_token_id": 1,
        }
        return TransformerConfig.from_json(sizes | self.transformer, "model: transformer")

    def path_config(self) -> PathConfig:
        return PathConfig.from_json(self.path, "model: path")


# What a fine-tuned model has from the checkpoint that it began with.
OF_THE_CHECKPOINT = {"transformer", "tokenizer", "path", "overlap", "steps", "guidance"}


class Shards(_Section):
    """Where clips come from: the drawn world, or a folder of clips with a caption beside each."""

    source: Literal["world"] | Path = "world"
    clips: int = Field(default=40_000, gt=0)
    per_shard: int = Field(default=2_000, gt=0)


class Config(_Section):
    """Attributes:
    checkpoint: a folder or hub id to go on from; None trains from random weights.
    decoder: trains the tokenizer's decoder once more, alone, last: tokens and transformer stay as they are.
    launcher: `spawn` starts processes here, `ray` asks Ray Train for workers.
    """

    output: Path
    seed: int = 0
    checkpoint: str | None = None
    launcher: Literal["spawn", "ray"] = "spawn"
    processes: int = Field(default=1, gt=0)
    threads: int = Field(default=1, gt=0)
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    model: Model = Model()
    shards: Shards = Shards()
    tokenizer: TokenizerTraining | None = None
    transformer: TransformerTraining | None = None
    decoder: TokenizerTraining | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        trains_tokenizer = self.tokenizer is not None or self.decoder is not None
        if trains_tokenizer and self.checkpoint is not None:
            raise ValueError(
                "checkpoint: only the transformer of a checkpoint is trained; leave out tokenizer and decoder"
            )
        model, shards = self.model.model_fields_set, self.shards.model_fields_set
        ignored = [f"model.{name}" for name in sorted(model & OF_THE_CHECKPOINT) if self.checkpoint is not None]
        if ignored:
            raise ValueError(
                f"checkpoint: {', '.join(ignored)} would be ignored, the checkpoint's hold; leave them out"
            )
        ignored = [f"shards.{name}" for name in sorted(shards - {"source"}) if self.shards.source != "world"]
        if ignored:
            raise ValueError(f"shards.source: {', '.join(ignored)} would be ignored, a clip is a shard; leave them out")
        if trains_tokenizer and self.shards.source != "world":
            raise ValueError("shards.source: tokenizer and decoder are trained on the drawn world alone")
        return self

    @classmethod
    def from_yaml(cls, file: Path) -> Self:
        """Raises OptionError with a line for every problem."""
        try:
            return cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise OptionError(f"{file}: cannot be read ({error.strerror or error}).") from error
        except yaml.YAMLError as error:
            raise OptionError(f"{file}: is not YAML ({error}).") from error
        except ValidationError as error:
            lines = [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            raise OptionError(f"{file}: is not a training configuration:\n" + "\n".join(lines)) from error
