"""What a contender's process is told; it needs orjson and nothing else of the project.

Some contenders live in environments of their own, in which the project cannot be installed.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

import orjson

Job: TypeAlias = Literal["state", "whole"]
ROOT = Path(__file__).resolve().parents[1]
OFFER_GAP_MS = 1_800_000  # between a customer's offers, in the whole job


@dataclass(frozen=True, slots=True)
class Told:
    """One run of one contender.

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

    @property
    def path(self) -> Path:
        """Its directory."""
        return Path(self.directory)

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.prefix.rstrip(".")
