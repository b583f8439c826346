"""How many descriptors the process may have: all that its supervisor lets it."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

ENOUGH: Final = 65_536  # where the system sets no bound


def allow_descriptors() -> int:
    """Raise the soft limit to the hard one, and return it.

    Shells and supervisors leave it at 1,024, for programs that still use select(2). A store of many
    partitions, or many clients at once, takes more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
