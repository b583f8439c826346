"""The log that an app's consumer and producers share: where it is, and as long as one holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yarl import URL

from stream.broker.local.log import Fsync, Log
from stream.broker.local.sync import GroupSync
from stream.config import ConfigError

_FSYNC: Final[tuple[Fsync, ...]] = ("always", "interval", "never")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a local log is, and how it is kept: what the URL says."""

    directory: Path
    partitions: int | None = None
    fsync: Fsync = "always"
    segment_bytes: int = 64 << 20
    compact_bytes: int = 4 << 20

    @classmethod
    def parse(cls, url: URL) -> Location:
        """Read a broker URL.

        Raises
        ------
        ConfigError
            When there is no path, or the query says what it can't.

        >>> Location.parse(URL("local:///var/lib/offerstream?partitions=4&fsync=never"))
        ... # doctest: +ELLIPSIS
        Location(directory=PosixPath('/var/lib/offerstream'), partitions=4, fsync='never', ...)
        >>> Location.parse(URL("local://./data/log")).directory
        PosixPath('data/log')
        """
        if url.host not in (None, "", ".") or url.path in ("", "/"):
            raise ConfigError(
                f"broker: {url} names no directory; write local:///absolute/path or local://./path"
            )
        directory = Path(url.path.lstrip("/")) if url.host == "." else Path(url.path)
        values: dict[str, Any] = {}
        for name, text in url.query.items():
            if name == "fsync" and text in _FSYNC:
                values[name] = text
            elif name in ("partitions", "segment_bytes", "compact_bytes") and text.isdecimal():
                values[name] = int(text)
            else:
                raise ConfigError(
                    f"broker: {name}={text} in {url} can't be; it takes partitions=N, "
                    "fsync=always|interval|never, segment_bytes=N and compact_bytes=N"
                )
        return cls(directory, **values)


class SharedLog:
    """A log that is opened on first use, and closed when nobody holds it any more.

    Parameters
    ----------
    location
    partitions
        Of topics that nobody declared, unless the location says so.
    """

    def __init__(self, location: Location, partitions: int) -> None:
        self.location = location
        self._partitions = partitions
        self._log: Log | None = None
        self._lent = False
        self._stopped = False
        self._holders: set[object] = set()
        self._sync: GroupSync | None = None

    @property
    def log(self) -> Log:
        """The log; opened on first use, unless one was handed over."""
        if self._log is None:
            if self._stopped:
                raise ValueError("the app has stopped, and its log is closed")
            where = self.location
            self._log = Log(
                where.directory,
                fsync=where.fsync,
                segment_bytes=where.segment_bytes,
                compact_bytes=where.compact_bytes,
            )
        return self._log

    @log.setter
    def log(self, log: Log) -> None:
        if self._log is not None:
            raise ValueError("this transport has a log already")
        self._log = log
        self._lent = True

    def hold(self, holder: object) -> None:
        """Keep the log open until ``holder`` releases it.

        The first one opens it, which reads its ends; so it is called in a thread.
        """
        self._stopped = False
        self._holders.add(holder)
        self.log  # noqa: B018  # opens it, or says why not

    async def release(self, holder: object) -> None:
        """Let go of the log; the last holder closes it, unless it was handed over."""
        self._holders.discard(holder)
        if self._holders:
            return
        self._stopped = not self._lent
        sync, self._sync = self._sync, None
        if sync is not None:
            await sync.close()
        if self._log is not None and not self._lent:
            log, self._log = self._log, None
            await asyncio.to_thread(log.close)

    def durable(self) -> asyncio.Future[None]:
        """Return a future that is done when all that was appended before is durable.

        It is shared: await it behind ``asyncio.shield``.
        """
        if self._sync is None:
            self._sync = GroupSync(self.log)
        return self._sync.durable()

    def ensure_topic(self, topic: str) -> int:
        """Return the number of partitions, creating the topic if nobody declared it."""
        partitions = self.log.partitions(topic)
        if partitions is None:
            partitions = self.location.partitions or self._partitions
            self.log.create_topic(topic, partitions)
        return partitions

    def create_topic(
        self,
        topic: str,
        partitions: int,
        *,
        compacting: bool | None = None,
        retention: float | None = None,
        config: Mapping[str, Any],
    ) -> None:
        """Create a topic from Kafka's settings; an existing one must agree with what is said.

        Parameters
        ----------
        topic, partitions
            As in `Log.create_topic`.
        compacting
            None leaves it to ``cleanup.policy`` in ``config``, or to the topic that exists.
        retention
            Seconds; for topics that are not compacted.
        config
            Of it, ``cleanup.policy``, ``retention.ms``, ``retention.bytes``, ``segment.bytes`` and
            ``delete.retention.ms`` have a meaning here.
        """
        policy = config.get("cleanup.policy")
        if compacting is None and policy is not None:
            compacting = "compact" in str(policy)
        known = self.log.topics().get(topic)
        if compacting is None:
            compacting = known is not None and known.compacted
        limits = {
            "retention_ms": int(retention * 1000) if retention else config.get("retention.ms"),
            "retention_bytes": config.get("retention.bytes"),
            "segment_bytes": config.get("segment.bytes"),
            "tombstone_ms": config.get("delete.retention.ms"),
        }
        given = {name: int(value) for name, value in limits.items() if value is not None}
        given = {name: value for name, value in given.items() if value >= 0}  # -1: without limit
        self.log.create_topic(topic, partitions, compacting, **given)
