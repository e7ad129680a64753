"""The command line: options in, exit codes out.

A command imports what it needs itself: `plan` answers before torch would be loaded.
"""

# In the order of the help.
from ursa_ray.cli import planning, rendering, singles, suites, studio, jobs, runs, looking, machine, tokens  # isort: skip
from ursa_ray.cli.app import EXIT_CODES, main
from ursa_ray.interrupt import INTERRUPTED

__all__ = [
    "EXIT_CODES",
    "INTERRUPTED",
    "jobs",
    "looking",
    "machine",
    "main",
    "planning",
    "rendering",
    "runs",
    "singles",
    "studio",
    "suites",
    "tokens",
]
