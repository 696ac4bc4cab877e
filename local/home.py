"""Where the local run keeps its state."""

import os
from pathlib import Path


def home() -> Path:
    """`ADBID_HOME`, or `.local` in the current folder."""
    return Path(os.environ.get("ADBID_HOME") or ".local")
