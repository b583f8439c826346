"""One run of one contender, with the project's settings for its job."""

from __future__ import annotations

from dataclasses import dataclass

from bench.told import OFFER_GAP_MS, Job, Told
from stream.config import Settings
from stream.host.environment import catalogue, load

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
class Run(Told):
    """What a contender is told, and what of it the project's own settings are."""

    def options(self) -> dict[str, str]:
        """The project's settings for this run, by name."""
        job = {name: value for name, value in _OF_JOB[self.job].items() if name in catalogue()}
        return {
            "broker": f"kafka://{self.broker}",
            "app_id": self.group,
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
