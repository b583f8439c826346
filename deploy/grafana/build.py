"""The dashboards as tables, from which ``python deploy/grafana/build.py`` writes their JSON.

Rules: a panel asks one question, which is its title; its unit and a line about what to make of it
stand beside it. What is shown for each worker is by ``instance``; what a shop is made of is summed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).parent / "dashboards"
WIDTH: Final = 24  # columns of Grafana's grid
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """A question: ``asks`` are pairs of an expression and its legend."""

    title: str
    says: str
    unit: str
    asks: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    width: int = 8


class Row(NamedTuple):
    """Panels below one headline."""

    title: str
    panels: Sequence[Panel]


def rate(name: str, by: str = "") -> str:
    """How often a second, summed."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate(offerstream_{name}_total[$__rate_interval]))"


def quantile(q: float, name: str, by: str = "") -> str:
    """A quantile of a histogram, over all workers."""
    labels = f"le, {by}" if by else "le"
    buckets = f"rate(offerstream_{name}_bucket[$__rate_interval])"
    return f"histogram_quantile({q}, sum by ({labels}) ({buckets}))"


def each(name: str) -> list[tuple[str, str]]:
    """A gauge of each worker."""
    return [(f"offerstream_{name}", "{{instance}}")]


OPERATIONS: Final = (
    Row(
        "Is it well?",
        (
            Panel(
                "Workers ready",
                "Fewer than were started: see the runbook not-ready.",
                "short",
                [("sum(offerstream_ready)", "ready")],
                "stat",
                4,
            ),
            Panel(
                "Workers that answer",
                "What Prometheus can scrape.",
                "short",
                [('sum(up{job="offerstream"})', "up")],
                "stat",
                4,
            ),
            Panel(
                "Oldest record that waits",
                "Above a minute, for five: offers come late.",
                "s",
                [("max(kafka_consumergroup_group_lag_seconds)", "waits")],
                "stat",
                4,
            ),
            Panel(
                "Workers that a broker answers",
                "0: no broker answers; nothing is lost, and lag is not known.",
                "short",
                [("sum(offerstream_broker_connected)", "connected")],
                "stat",
                4,
            ),
            Panel(
                "Alerts that fire",
                "Each has a runbook in docs/runbooks.",
                "short",
                [
                    (
                        'count(ALERTS{alertstate="firing",alertname=~"Offerstream.+"})'
                        " or vector(0)",
                        "fire",
                    )
                ],
                "stat",
                4,
            ),
            Panel(
                "Records lost before they were read",
                "Anything above 0 is gone for good: retention is too short.",
                "short",
                [("sum(offerstream_records_lost_total) or vector(0)", "lost")],
                "stat",
                4,
            ),
        ),
    ),
    Row(
        "What comes in, and what becomes of it",
        (
            Panel(
                "Events a second, by topic",
                "What is taken from Kafka.",
                "ops",
                [(rate("events_consumed", "topic"), "{{topic}}")],
            ),
            Panel(
                "What became of them",
                "Applied changes a customer; the rest is counted, and some of it goes to a topic.",
                "ops",
                [
                    (rate("events_applied"), "applied"),
                    (rate("duplicates"), "duplicate"),
                    (rate("late_events"), "late"),
                    (rate("events_suppressed"), "beyond a person's pace"),
                    (rate("events_rejected"), "refused"),
                    (rate("events_replayed"), "replayed"),
                ],
            ),
            Panel(
                "Refused, by reason",
                "Dead letters: `offerstream dead-letters list` shows whose.",
                "ops",
                [(rate("events_rejected", "reason") + " > 0", "{{reason}}")],
            ),
            Panel(
                "Records that wait, by topic",
                "The lag of the group; NaN while no broker answers.",
                "short",
                [("sum by (topic) (offerstream_consumer_lag_records)", "{{topic}}")],
            ),
            Panel(
                "How long the oldest has waited",
                "By topic.",
                "s",
                [("max by (topic) (kafka_consumergroup_group_lag_seconds)", "{{topic}}")],
            ),
            Panel(
                "Offers a second",
                "What goes out.",
                "ops",
                [(rate("offers_emitted"), "offers")],
            ),
        ),
    ),
    Row(
        "How long it takes",
        (
            Panel(
                "From event to durable offer",
                "What an ad server sees; the objective is 99 % within a second.",
                "s",
                [
                    (quantile(0.5, "offer_end_to_end_seconds"), "p50"),
                    (quantile(0.95, "offer_end_to_end_seconds"), "p95"),
                    (quantile(0.99, "offer_end_to_end_seconds"), "p99"),
                ],
            ),
            Panel(
                "From fetch to ack",
                "What a worker itself takes.",
                "s",
                [
                    (quantile(0.5, "event_processing_seconds"), "p50"),
                    (quantile(0.99, "event_processing_seconds"), "p99"),
                ],
            ),
            Panel(
                "A batch's stages, p99",
                "Which stage is slow.",
                "s",
                [(quantile(0.99, "stage_seconds", "stage"), "{{stage}}")],
            ),
        ),
    ),
    Row(
        "Each worker",
        (
            Panel(
                "CPU",
                "Of one core; the learner's process is another.",
                "percentunit",
                [
                    (
                        'rate(process_cpu_seconds_total{job="offerstream"}[$__rate_interval])',
                        "{{instance}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Memory",
                "Resident.",
                "bytes",
                [('process_resident_memory_bytes{job="offerstream"}', "{{instance}}")],
                width=6,
            ),
            Panel(
                "Event loop lag",
                "How late it runs what is due; above 1 s heartbeats are at risk.",
                "s",
                each("event_loop_lag_seconds"),
                width=6,
            ),
            Panel(
                "Oldest batch in work",
                "Since it was fetched.",
                "s",
                [("max by (instance) (offerstream_oldest_unacked_seconds)", "{{instance}}")],
                width=6,
            ),
            Panel(
                "Since the last commit",
                "What a crash would decide again.",
                "s",
                each("commit_age_seconds"),
                width=6,
            ),
            Panel(
                "Changelog still to be read",
                "Above 0: it recovers.",
                "short",
                each("recovery_remaining_records"),
                width=6,
            ),
            Panel(
                "Rebalances",
                "How often partitions moved in five minutes.",
                "short",
                [
                    (
                        "sum by (instance) (increase(offerstream_rebalances_total[5m]))",
                        "{{instance}}",
                    )
                ],
                width=6,
            ),
            Panel(
                "Keys of the tables",
                "Customers on each worker, about.",
                "short",
                [("offerstream_state_keys", "{{instance}} {{table}}")],
                width=6,
            ),
        ),
    ),
    Row(
        "The learner",
        (
            Panel(
                "Examples a second",
                "Sent by workers, and taken by the learner.",
                "ops",
                [(rate("examples_emitted"), "sent"), (rate("examples_learned"), "learned")],
                width=6,
            ),
            Panel(
                "Age of the models in use",
                "Since they were published.",
                "s",
                [("max by (model) (offerstream_model_snapshot_age_seconds)", "{{model}}")],
                width=6,
            ),
            Panel(
                "The learner owes an answer",
                "0 while it answers.",
                "s",
                each("learner_unanswered_seconds"),
                width=6,
            ),
            Panel(
                "Evictions",
                "What gave way in memory that is bounded.",
                "ops",
                [(rate("evictions", "table"), "{{table}}")],
                width=6,
            ),
        ),
    ),
)

MARKETING: Final = (
    Row(
        "Offers",
        (
            Panel(
                "Offers a minute, by campaign",
                "What goes out; the campaign that none is named for is the recommendation.",
                "short",
                [("60 * " + rate("offers_emitted", "campaign"), "{{campaign}}")],
                width=12,
            ),
            Panel(
                "Offers a minute, by arm",
                "The share that an experiment gives each arm.",
                "short",
                [("60 * " + rate("offers_emitted", "arm"), "{{arm}}")],
                width=12,
            ),
            Panel(
                "Why there was no offer",
                "A minute, by reason; docs/campaigns.md says what each means.",
                "short",
                [("60 * " + rate("offers_suppressed", "reason") + " > 0", "{{reason}}")],
            ),
            Panel(
                "Why a campaign was passed over",
                "A minute: the next campaign was tried.",
                "short",
                [("60 * " + rate("campaigns_passed_over", "reason") + " > 0", "{{reason}}")],
            ),
            Panel(
                "Offers recalled",
                "A minute: bought meanwhile, permission withdrawn, campaign ended.",
                "short",
                [("60 * " + rate("offers_recalled"), "recalled")],
            ),
        ),
    ),
    Row(
        "Are the models right?",
        (
            Panel(
                "Predicted over observed purchases",
                "1 is right; above it, purchases are overrated.",
                "none",
                [("max by (model) (offerstream_model_calibration_ratio)", "{{model}}")],
            ),
            Panel(
                "Area under the curve",
                ".5 is chance, 1 is certain.",
                "none",
                [("max by (model) (offerstream_model_auc)", "{{model}}")],
            ),
            Panel(
                "Changes of taste",
                "What drift detectors saw in the last hour.",
                "short",
                [("sum by (model) (increase(offerstream_model_drift_total[1h]))", "{{model}}")],
            ),
        ),
    ),
    Row(
        "Are people treated alike?",
        (
            Panel(
                "Moments with an offer, by group",
                "Of groups that core.fairness_groups names; the report has intervals.",
                "percentunit",
                [
                    (
                        rate("group_offers", "group, value")
                        + " / "
                        + rate("group_moments", "group, value"),
                        "{{group}}: {{value}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "Moments with an incentive, by group",
                "Of the same groups.",
                "percentunit",
                [
                    (
                        rate("group_incentives", "group, value")
                        + " / "
                        + rate("group_moments", "group, value"),
                        "{{group}}: {{value}}",
                    )
                ],
                width=12,
            ),
        ),
    ),
)

DASHBOARDS: Final = {
    "operations": ("offerstream: operations", OPERATIONS),
    "marketing": ("offerstream: marketing", MARKETING),
}


def dashboard(uid: str) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    title, rows = DASHBOARDS[uid]
    return {
        "uid": f"offerstream-{uid}",
        "title": title,
        "tags": ["offerstream"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": list(_placed(rows)),
    }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for row in rows:
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        number, y, x, height = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            height = 4 if panel.kind == "stat" else 8
            yield _panel(panel, number, {"h": height, "w": panel.width, "x": x, "y": y})
            number, x = number + 1, x + panel.width
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": ask, "legendFormat": legend}
            for n, (ask, legend) in enumerate(panel.asks)
        ],
    }


def text(uid: str) -> str:
    """A dashboard's file."""
    return json.dumps(dashboard(uid), indent=1) + "\n"


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for uid in DASHBOARDS:
        (HERE / f"{uid}.json").write_text(text(uid))
