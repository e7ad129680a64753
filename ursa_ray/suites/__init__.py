"""Prompt suites of benchmarks: what to sample, and the folders and names in which each one's own scorer reads it.

The suites themselves are not part of this package: their files are given by path.
"""

from ursa_ray.suites.images import read_dpg, read_geneval
from ursa_ray.suites.suite import Preset, Result, Suite
from ursa_ray.suites.videos import read_vbench, read_vbench_i2v

__all__ = ["Preset", "Result", "Suite", "read_dpg", "read_geneval", "read_vbench", "read_vbench_i2v"]
