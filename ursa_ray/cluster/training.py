"""Training by Ray Train: the same worker, wherever the cluster has room."""

from pathlib import Path

from ray.train import RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from ursa_ray.cluster.connection import connected
from ursa_ray.errors import UrsaRayError
from ursa_ray.training.config import Config
from ursa_ray.training.launch import prepared
from ursa_ray.training.stages import work


def train_on_cluster(config: Config, address: str | None, insecure: bool = False) -> None:
    """Run all stages of `config` by Ray Train and wait. All nodes must see the output folder.

    Workers' logs are printed here.

    Raises:
        ReplicaError: there is no cluster at `address`, or none can be started.
        OptionError: it is a remote one that asks for no token, and `insecure` does not allow that.
        UrsaRayError: what a worker raised, or that Ray Train failed.
    """
    config = _with_absolute_paths(config)
    on_gpu = config.device == "cuda"
    with connected(address, config.processes, insecure, logs=True):
        trainer = TorchTrainer(
            lambda: prepared(work, config),
            torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=config.processes, use_gpu=on_gpu),
            run_config=RunConfig(storage_path=str(config.output / "ray")),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise cause_of(error) from None


def cause_of(error: TrainingFailedError) -> UrsaRayError:
    """What a user can do something about: the error of the first worker that says why, else Ray's in one line."""
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    causes = [getattr(failure, "_base_exc", failure) for _, failure in sorted(failures.items())]
    ours = [cause for cause in causes if isinstance(cause, UrsaRayError)]
    if ours:
        return ours[0]
    told = causes[0] if causes else error
    return UrsaRayError(f"training failed under Ray: {type(told).__name__}: {str(told).strip().splitlines()[0]}")


def _with_absolute_paths(config: Config) -> Config:
    """Workers have working folders of their own."""
    changes: dict[str, object] = {"output": config.output.resolve()}
    if isinstance(config.shards.source, Path):
        changes["shards"] = config.shards.model_copy(update={"source": config.shards.source.resolve()})
    if config.checkpoint is not None and Path(config.checkpoint).is_dir():
        changes["checkpoint"] = str(Path(config.checkpoint).resolve())
    return config.model_copy(update=changes)
