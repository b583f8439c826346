"""Opening the local log that the settings name."""

from __future__ import annotations

from stream.broker.local.log import CorruptLogError, Log
from stream.config import ConfigError, Settings


def open_log(settings: Settings, *, make: bool) -> Log:
    """The local log that the settings name; ``make`` says whether its directory may be made.

    Raises
    ------
    ConfigError
        If there is none and none is to be made, another process has it open, or it is damaged.
    """
    directory = settings.embedded_log
    assert directory is not None, "the broker is not a local log"
    if not make and not directory.is_dir():
        raise ConfigError(f"there is no local log in {directory}: is --broker right?")
    try:
        return Log(directory, segment_bytes=settings.embedded.segment_bytes)
    except CorruptLogError as error:
        raise ConfigError(str(error)) from error  # to mend it is the operator's
