"""What a build must know of ELF, the format of Linux' shared libraries (gABI, chapters 4 and 5)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from scripts.package.errors import BuildError

MAGIC = b"\x7fELF"
_MACHINES = {62: "x86_64", 183: "aarch64"}
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5


@dataclass(frozen=True)
class Library:
    """A library's machine, the libraries it asks the loader for, and the newest glibc symbols it wants."""

    machine: str
    needed: tuple[str, ...]
    glibc: tuple[int, int]


def read(image: bytes) -> Library:
    """What a 64-bit little-endian library's image says. Raises BuildError for anything else."""
    segments = _segments(image)
    needed: list[int] = []
    strings = 0
    for kind, offset, _, size in segments:
        if kind == _DYNAMIC:
            for tag, value in struct.iter_unpack("<qQ", image[offset : offset + size]):
                if tag == _NEEDED:
                    needed.append(value)
                elif tag == _STRTAB:
                    strings = next(
                        at + value - address
                        for load, at, address, length in segments
                        if load == _LOAD and address <= value < address + length
                    )
    names = tuple(image[strings + at : image.index(0, strings + at)].decode() for at in needed)
    versions = [(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", image)]
    (machine,) = struct.unpack_from("<H", image, 18)
    return Library(_MACHINES.get(machine, str(machine)), names, max(versions, default=(0, 0)))


def stripped(image: bytes) -> bytes:
    """The image without what only debuggers and linkers read: all that lies behind the last loaded segment.

    The section table goes with it; the dynamic loader finds everything through the segments.
    """
    loaded = [offset + size for kind, offset, _, size in _segments(image) if kind == _LOAD]
    table, width, count = _table(image)
    kept = bytearray(image[: max(*loaded, table + width * count)])
    struct.pack_into("<Q", kept, 40, 0)  # where the section table is
    struct.pack_into("<HH", kept, 60, 0, 0)  # how many sections, and which one names them
    return bytes(kept)


def _segments(image: bytes) -> list[tuple[int, int, int, int]]:
    """Type, offset in the file, address and size in the file of each segment."""
    if image[:6] != MAGIC + b"\x02\x01":
        raise BuildError("not a 64-bit little-endian ELF file")
    table, width, count = _table(image)
    headers = (struct.unpack_from("<IIQQQQ", image, table + width * number) for number in range(count))
    return [(kind, offset, address, size) for kind, _, offset, address, _, size in headers]


def _table(image: bytes) -> tuple[int, int, int]:
    (table,) = struct.unpack_from("<Q", image, 32)
    width, count = struct.unpack_from("<HH", image, 54)
    return table, width, count
