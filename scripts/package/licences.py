"""Under which licences the shipped packages are: nothing ships whose licence nobody has looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path

from scripts.package.errors import BuildError

KNOWN = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "GPL-3.0-or-later WITH GCC-exception-3.1",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Zlib",
}
"""SPDX's names; all let a service be run and its packages be passed on inside the company."""

_SPOKEN = {
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "the mit license (mit)": "MIT",
}
"""How older metadata calls them."""

LIBGOMP = ("libgomp", "(with GCC)", "GPL-3.0-or-later WITH GCC-exception-3.1")

Licence = tuple[str, str, str]
"""A package's name, version and licence expression."""


def licences(folder: Path) -> list[Licence]:
    """Every third-party package under a built layer's or function's folder. Raises BuildError."""
    found = [_read(metadata) for metadata in folder.rglob("*.dist-info/METADATA")]
    if any(folder.glob("lib/libgomp.so.*")):
        found.append(LIBGOMP)
    for name, _, expression in found:
        parts = re.split(r"\s+(?:AND|OR)\s+", expression.replace("(", "").replace(")", ""))
        if expression != LIBGOMP[2] and not KNOWN.issuperset(parts):
            raise BuildError(
                f"{name} is under {expression!r}: look at it, then add it to {Path(__file__).name}"
            )
    return sorted(found)


def listing(found: Mapping[str, list[Licence]]) -> str:
    """The text of licences.txt, from the licences in each resource's package."""
    where: dict[Licence, list[str]] = {}
    for resource, several in sorted(found.items()):
        for licence in several:
            where.setdefault(licence, []).append(resource)
    lines = [
        f"{name:32} {version:12} {expression:60} {', '.join(resources)}"
        for (name, version, expression), resources in sorted(where.items())
    ]
    head = "# Third-party packages that ship, their licences, and where. The texts are in each *.dist-info.\n"
    return head + "".join(line + "\n" for line in lines)


def _read(metadata: Path) -> Licence:
    about = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    spoken = [about.get("License", "")]
    spoken += [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if "License ::" in line]
    names = [name if name in KNOWN else _SPOKEN.get(name.lower(), "") for name in spoken]
    expression = about.get("License-Expression") or next(filter(None, names), "unknown")
    return str(about["Name"]), str(about["Version"]), expression
