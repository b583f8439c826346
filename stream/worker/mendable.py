"""Faults of a disk, of another process, and operators' mistakes: a line tells each.

A trace would tell no more.
"""

from __future__ import annotations

import errno
from typing import Final

from stream.broker.local.segment import CorruptLogError
from stream.config import ConfigError
from stream.worker.faust.kafka import WriteRefused
from stream.worker.faust.store import StoreFault
from stream.worker.learning.process import TrainerEnded

_TOLD: Final = (StoreFault, CorruptLogError, ConfigError, WriteRefused, TrainerEnded)
_ERRNOS: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EACCES,
    errno.EMFILE,
}


def is_mendable(error: BaseException) -> bool:
    """Whether an operator can mend it: a setting, a process, or a disk that fails or is full.

    >>> is_mendable(OSError(errno.ENOSPC, "full")), is_mendable(ConnectionError("gone"))
    (True, False)
    """
    if isinstance(error, _TOLD):
        return True
    return isinstance(error, OSError) and error.errno in _ERRNOS
