"""How a process that scores treats memory: it keeps what it has, for the next bundle needs as much.

To be imported before anything else: hardly anything that an import makes is garbage, and looking for it takes
a tenth of the start.
"""

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's <malloc.h>
_KEPT_BYTES = 64 * 1024 * 1024
_LARGEST_KEPT = 16 * 1024 * 1024
_NEW_OBJECTS = 20_000

gc.disable()  # until `settle`


def settle() -> None:
    """To be called once everything is imported.

    glibc would hand arrays of a large bundle back to the system, and take them again page by page at the next
    one. Python would look through everything that was imported, again and again, for cycles to collect.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()
