"""A cluster that fails a command, in one line that names the reason and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka.errors import KafkaError

from stream.broker.kafka.access import refused_login
from stream.broker.kafka.connection import overheard
from stream.config import ConfigError, Settings

REFUSED_LOGIN: Final = "uthentication"  # in whatever words the client logs it


class Failing:
    """Whether the cluster has answered yet."""

    def __init__(self) -> None:
        self.has_begun = False

    def began(self) -> None:
        """It has."""
        self.has_begun = True


@contextmanager
def said_in_one_line(settings: Settings) -> Iterator[Failing]:
    """Turn what a client raises into a line that holds what it would only have logged.

    Raises
    ------
    ConfigError
        If the cluster does not answer, refuses the login, or fails later.
    """
    failing = Failing()
    with overheard() as heard:
        try:
            yield failing
        except (KafkaError, TimeoutError) as error:
            reason = heard[-1] if heard else str(error) or "no answer in time"
            if any(REFUSED_LOGIN in words for words in heard):
                raise ConfigError(refused_login(settings)) from error
            if failing.has_begun:
                raise ConfigError(
                    f"broker {settings.broker} failed: {reason}; try again"
                ) from error
            raise ConfigError(
                f"broker {settings.broker} doesn't answer: {reason}; start it, or name another "
                "with --broker or OFFERSTREAM_BROKER"
            ) from error
