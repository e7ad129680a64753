"""The code that a result was made with."""

import subprocess
from pathlib import Path


def commit(folder: Path) -> str:
    """The commit of a folder's checkout, "-dirty" where files differ from it; "unknown" where there is none."""
    asked = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return asked.stdout.strip() or "unknown"
