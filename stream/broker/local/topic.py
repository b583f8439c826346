"""What a topic is, and the file that remembers it."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from stream.broker.local.durable import write_durably
from stream.broker.local.segment import CorruptLogError
from stream.config import ConfigError

DAY: Final = 86_400_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What a topic is.

    Parameters
    ----------
    partitions
        How many; for good.
    compacted
        Whether only the latest record of a key is kept; for good.
    segment_bytes
        Size at which a file is closed and the next begun; None leaves it to the log.
    retention_ms, retention_bytes
        Closed files are removed when nothing was appended to them for longer, or when the
        partition is larger; None keeps all. Not for compacted topics.
    tombstone_ms
        How long compaction keeps the deletion of a key, for readers that lag.
    compaction_ms
        A compacted topic is compacted when a record has waited for it for so long.
    id
        Of this life of the topic: one that is made anew gets another.
    """

    partitions: int
    compacted: bool = False
    segment_bytes: int | None = None
    retention_ms: int | None = None
    retention_bytes: int | None = None
    tombstone_ms: int = DAY
    compaction_ms: int = DAY // 4
    id: str = ""


def check_new(topic: str, wanted: TopicConfig) -> None:
    """Check that there may be such a topic.

    Raises
    ------
    ConfigError
        When the name can't be one, or there are no partitions.
    """
    if not _NAME.fullmatch(topic) or not topic.strip("."):
        raise ConfigError(
            f"topic {topic!r}: a name takes 1 to 249 of letters, digits, '.', '_' and '-'"
        )
    if wanted.partitions < 1:
        raise ConfigError(f"topic {topic!r}: partitions must be at least 1")


def check_same(topic: str, known: TopicConfig, wanted: TopicConfig) -> None:
    """Check that the topic that is wanted is the one that there is.

    Raises
    ------
    ConfigError
        When it differs in what can't be changed.
    """
    if known.partitions != wanted.partitions:
        raise ConfigError(
            f"partitions: topic {topic} has {known.partitions}, not {wanted.partitions}, and "
            f"can't be changed; set {known.partitions}, or start with a new directory"
        )
    if known.compacted != wanted.compacted:
        state = "is" if known.compacted else "isn't"
        raise ConfigError(f"topic {topic} {state} compacted, for good; use another name")


def read_config(path: Path) -> TopicConfig:
    """Read what a topic is.

    Raises
    ------
    CorruptLogError
        When the file doesn't say.
    """
    try:
        fields = json.loads(path.read_bytes())
        checksum = fields.pop("crc", None)  # files of older releases have none
        config = TopicConfig(**fields)
    except (AttributeError, TypeError, ValueError) as error:
        raise CorruptLogError(path, 0, f"no description of a topic: {error}") from error
    if checksum is not None and checksum != _checksum(fields):
        raise CorruptLogError(path, 0, "the description's checksum is wrong")
    return config


def write_config(path: Path, config: TopicConfig) -> None:
    """Write what a topic is."""
    fields = asdict(config)
    write_durably(path, json.dumps({**fields, "crc": _checksum(fields)}))


def _checksum(fields: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())
