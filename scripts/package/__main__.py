"""`python -m scripts.package` builds everything into build/; with RESOURCE and FOLDER, one package.

ARCH=arm64 or ARCH=x86_64 chooses the architecture; without it, the template does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scripts.package.build import build_all, build_one
from scripts.package.checks import LIMITS_MB
from scripts.package.errors import BuildError
from scripts.package.plan import ROOT, read_plan
from scripts.package.wheels import MACHINES


def main(arguments: list[str]) -> None:
    """Build, and print the sizes. Raises BuildError."""
    plan = read_plan()
    architecture = os.environ.get("ARCH") or plan.architecture
    if architecture not in MACHINES:
        raise BuildError(f"ARCH must be one of {', '.join(MACHINES)}")
    if arguments:
        resource, folder = arguments
        build_one(resource, Path(folder), architecture, plan)
        return
    print(f"{'function':12} {'unzipped MB':>12} {'zip MB':>8}   ({architecture}, layers included)")
    for name, size in build_all(ROOT / "build", architecture, plan).items():
        limit = f"   at most {LIMITS_MB[name]:.0f}" if name in LIMITS_MB else ""
        print(f"{name:12} {size.unzipped_mb:12.1f} {size.zip_mb:8.1f}{limit}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BuildError as error:
        sys.exit(f"build: {error}")
