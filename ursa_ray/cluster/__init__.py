"""The same render on a Ray cluster: replicas pinned to GPUs, behind the director's executor."""

from ursa_ray.cluster.executor import RayExecutor

__all__ = ["RayExecutor"]
