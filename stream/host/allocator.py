"""What the C library's allocator keeps of memory that was given back.

The learner's states are arrays of megabytes, copied for each publication in threads. glibc learns
from the first of them that is freed to keep such blocks in its heaps, one for each thread, where
small blocks pin them; resident memory then grows by a fifth. Fixed limits let them go.
"""

from __future__ import annotations

import ctypes
from typing import Final

M_ARENA_MAX: Final = -8  # <malloc.h>
M_MMAP_THRESHOLD: Final = -3
ARENAS: Final = 2  # the loop's, and one that the other threads share
LARGE: Final = 8 << 20  # bytes from which a block is mapped by itself, and unmapped when freed


def let_go_of_large_blocks() -> bool:
    """Give large blocks back to the system when they are freed; False where malloc can't be told.

    See mallopt(3); other C libraries and allocators have their own ways and are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_ARENA_MAX, ARENAS) and mallopt(M_MMAP_THRESHOLD, LARGE))
