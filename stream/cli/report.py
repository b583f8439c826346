"""``offerstream report``: what offers did, from the log alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import orjson

from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.config import ConfigError, Settings

_UNITS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}


@click.command(short_help="Tell what offers did: funnel, lift over holdout, refusals, models.")
@click.option("--since", metavar="7d", help="Look back so far from the latest event: 12h, 7d, 4w.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page, too.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
@settings_option
def report(settings: Settings, since: str | None, html: Path | None, in_json: bool) -> None:
    """Read the log, and tell what offers did.

    Campaigns and arms with their funnel, the lift over holdout with intervals that hold at every
    look, what refused offers, segments, rules, and whether P(purchase) keeps its word. It works
    beside running workers on Kafka, and on a local log when no worker has it open. The page that
    --html writes needs nothing from elsewhere.

    \b
    Examples:
      offerstream report --broker local://./shop
      offerstream report --since 7d --html week.html --broker kafka://127.0.0.1:9092
      offerstream report --json --set core.credit=linear
    """
    from stream.insight.report.figures import report as figures
    from stream.insight.report.gather import gather
    from stream.insight.report.page import page

    seconds = None if since is None else _seconds(since)
    with gauge("reading", None, "records", quiet=in_json) as progress:
        facts = gather(settings, progress.show)
    if not facts.end:
        raise ConfigError(f"there is no event on {settings.broker} yet: nothing to report")
    told = figures(facts, settings, seconds)
    if html is not None:
        _write(html, page(told))
    click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2) if in_json else _words(told))
    if html is not None and not in_json:
        click.echo(f"The page is in {html}.")


def _seconds(since: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", since.strip())
    if not found or not float(found[1]):
        raise ConfigError(f"--since {since!r}: write hours, days or weeks, such as 12h, 7d or 4w")
    return float(found[1]) * _UNITS[found[2]]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error


def _words(told: dict[str, Any]) -> str:
    from stream.domain.money import to_major
    from stream.insight.report.page import words_of_lift

    currency = told["currency"]
    head = f"{'campaign / arm':<32}{'offers':>9}{'shown':>9}{'clicked':>9}{'converted':>11}"
    lines = [f"{head}{'revenue ' + currency:>16}"]
    rows = [(f"{one['campaign']} / {one['arm']}", one) for one in told["campaigns"]]
    for name, one in [*rows, ("all", told["funnel"])]:
        money = to_major(round(one["revenue_minor"]), currency)
        lines.append(
            f"{name[:31]:<32}{one['offers']:>9,.0f}{one['shown']:>9,.0f}{one['clicked']:>9,.0f}"
            f"{one['converted']:>11,.1f}{money:>16}"
        )
    lines.append("")
    lines += _experiment(told, words_of_lift)
    lines += _variants(told)
    lines += _decisions(told)
    lines += _fairness(told)
    lines += ["", "Why there was no offer, since the beginning of the log:"]
    lines += [f"  {name.replace('_', ' '):<24}{n:>12,}" for name, n in told["suppressed"].items()]
    if told["left_out"]:
        items = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in told["left_out"].items())
        lines.append(f"Items that offers did not hold, though they were better: {items}.")
    model = told["model"]
    if model["calibration_ratio"] is None:
        lines += ["", "P(purchase) of what was seen: too few to tell."]
    else:
        lines += [
            "",
            f"P(purchase) of {model['items_seen']:,} items seen: foreseen over bought "
            f"{model['calibration_ratio']:.2f} (1 is right), AUC {model['auc']:.3f}, "
            f"log loss {model['log_loss']:.4f}.",
        ]
    lines.append(f"{told['rules']['count']:,} rules of what is bought together stand.")
    return "\n".join(lines)


def _variants(told: dict[str, Any]) -> list[str]:
    from stream.insight.report.variants import words

    lines = []
    for campaign in told["variants"]:
        head = f"{'Variants of ' + campaign['campaign']:<28.28}{'trials':>9}{'share':>8}"
        lines += ["", f"{head}{'bought':>8}{'dismissed':>11}  purchases a trial, if all got it"]
        for one in campaign["variants"]:
            trials, share, bought, dismissed, estimate, state = words(one)
            left = f"  {one['variant']:<26.26}{trials:>9}{share:>8}{bought:>8}{dismissed:>11}"
            lines.append(f"{left}  {estimate}  {state}".rstrip())
    return lines


def _decisions(told: dict[str, Any]) -> list[str]:
    found = told["decisions"]
    if found is None:
        return []
    lines = ["", f"Every decision of {100 * found['share']:g} % of customers:"]
    for arm, one in found["arms"].items():
        lines.append(
            f"  {arm:<10}{one['customers']:>9,} customers{one['visits']:>10,} visits"
            f"{one['moments']:>10,} moments{one['offers']:>9,} offers{one['bought']:>9,} bought"
        )
    return lines


def _fairness(told: dict[str, Any]) -> list[str]:
    from stream.insight.report.fairness import words

    lines = []
    for group in told["fairness"]:
        head = f"{group['group'][:19]:<20}{'customers':>10}{'offered':>10}  over the highest"
        lines += ["", f"{head:<80}incentive  over the highest"]
        for value, (customers, offered, ratio, incentive, other) in words(group):
            left = f"{value[:19]:<20}{customers:>10}{offered:>10}  {ratio}"
            lines.append(f"{left:<80}{incentive:>9}  {other}")
        if group["not_shown"]:
            lines.append(f"  {group['not_shown']:,} values have too few customers to be shown.")
    return lines


def _experiment(told: dict[str, Any], words: Any) -> list[str]:
    found = told["experiment"]
    if found is None:
        return ["Nobody is held out, so nobody can tell what offers did."]
    sizes = ", ".join(f"{arm} {one['customers']:,}" for arm, one in found["arms"].items())
    lines = [f"Over holdout, by customers who visited ({sizes}):"]
    if found["sample_ratio_mismatch"]:
        lines.append("  The arms are not of the sizes that were meant: trust nothing here yet.")
    lines += [f"  {stop}" for stop in found["guardrail"]]
    return lines + [f"  {words(name, lift, told)}" for name, lift in found["lift"].items()]
