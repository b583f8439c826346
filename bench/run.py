"""One run of one contender: what its process is told, and the settings of the job."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

import orjson

from stream.config import Settings
from stream.runtime.environment import catalogue, load

Job: TypeAlias = Literal["state", "whole"]
OFFER_GAP_MS = 1_800_000  # between a customer's offers, in the whole job

# Every event may get an offer: no holdout, no quiet hours, nobody is taken for a bot; caps go by
# impressions, of which there are none.
_OPEN = {
    "core.policy.consent_default": "true",
    "core.policy.holdout": "0",
    "core.policy.quiet_from": "0",
    "core.policy.quiet_until": "0",
    "core.policy.events_per_second": "1000000",
    "log_level": "warning",
}
_OF_JOB: dict[Job, dict[str, str]] = {
    "state": {
        "core.policy.offer_gap": "0",
        "core.policy.exploration": "0",
        "learning.enabled": "false",
    },
    "whole": {"core.policy.offer_gap": str(OFFER_GAP_MS // 1000)},
}


@dataclass(frozen=True, slots=True)
class Run:
    """What a contender is told.

    ``prefix`` begins the names of all its topics and is its consumer group; ``directory`` is its
    own; ``port`` is free for it to serve metrics on.
    """

    broker: str
    prefix: str
    partitions: int
    job: Job
    directory: str
    port: int

    @classmethod
    def told(cls) -> Self:
        """What this process was told, as its only argument."""
        return cls(**orjson.loads(sys.argv[1]))

    def tell(self) -> str:
        """The argument that :meth:`told` reads."""
        return orjson.dumps(asdict(self)).decode()

    def options(self) -> dict[str, str]:
        """The project's settings for this run, by name."""
        job = {name: value for name, value in _OF_JOB[self.job].items() if name in catalogue()}
        return {
            "broker": f"kafka://{self.broker}",
            "app_id": self.prefix.rstrip("."),
            "topics.prefix": self.prefix,
            "partitions": str(self.partitions),
            "data_dir": str(self.path / "state"),
            "metrics.port": str(self.port),
            **_OPEN,
            **job,
        }

    def settings(self) -> Settings:
        """The same as values."""
        return load(environ={}, options=self.options()).settings

    @property
    def path(self) -> Path:
        """Its directory."""
        return Path(self.directory)

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.prefix.rstrip(".")
