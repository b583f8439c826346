"""A replay's report in words: what happened, where it is, what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from math import isnan

import orjson

from stream.domain.money import to_major
from stream.replay.report import Report, by_reason, outcomes
from stream.simulate.words import REASONS

ROW_REASONS = {
    "unparsable": "not readable",
    "ragged": "with too many values",
    "empty": "without elements",
    "no_customer": "without a customer",
    "ignored_type": "of an ignored type",
    "unmapped_type": "of a type that the mapping does not know",
}
"""What replay's own reasons mean; a mapping's own speak for themselves."""


def summary(report: Report, latest: Sequence[bytes]) -> str:
    """Tell what a replay did; ``latest`` are offers to show."""
    paragraphs = [_title("What happened"), *_rows(report)]
    if report.counts is not None:
        paragraphs += _decisions(report)
        paragraphs += ["The latest offers:", *map(_offer, latest)] if latest else []
    paragraphs += ["", _title("Where it is"), *_places(report)]
    paragraphs += ["", _title("What to try next"), *_next(report)]
    return "\n".join(paragraphs)


def _title(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _rows(report: Report) -> list[str]:
    account, seconds = report.account, max(report.seconds, 1e-9)
    kinds = _listed(account.published, {}) or "none"
    lines = [
        f"{report.file} as {report.mapping}: {account.rows:,} rows in {report.seconds:,.1f} s "
        f"({account.rows / seconds:,.0f} rows/s).",
        f"  events             {account.published.total():,} ({kinds})",
    ]
    if account.merged:
        lines.append(f"  merged into orders {account.merged:,} rows")
    lines.append(f"  refused rows       {_listed(account.refused, ROW_REASONS) or 'none'}")
    if account.catalog:
        lines.append(f"  catalog            {account.catalog:,} items, from the rows' own words")
    if report.present:
        lines.append(f"  there already      {report.present:,} records of an earlier run")
    if not report.finished:
        lines.append(f"  interrupted        {report.rows - account.rows:,} rows are left")
    return lines


def _decisions(report: Report) -> list[str]:
    people = report.people
    counts = report.log_counts if report.present else report.counts or {}
    became = outcomes(counts)
    begins = "Since the log began" if report.present else f"Of {report.published:,} events"
    lines = [
        f"{begins}, applied {became['applied']:,}; dropped {became['duplicate']:,} duplicates, "
        f"{became['late']:,} late, {became['suppressed']:,} from bots; dead letters: "
        f"{_listed(by_reason(counts, 'rejected'), REASONS) or 'none'}.",
        *_late(report),
        f"{counts.get('offers', 0):,} offers; no offer: "
        f"{_listed(by_reason(counts, 'denied'), REASONS) or 'never'}.",
    ]
    if report.unaccounted():
        lines.append(
            f"{report.unaccounted():,} events are not accounted for: "
            "unless others write to these topics, this is a bug"
        )
    if people is not None:
        spent = ", ".join(f"{_money(minor, code)} {code}" for code, minor in people.spent.items())
        lines.append(
            f"{people.customers:,} customers, {people.orders:,} orders, {people.refunds:,} "
            f"refunds, net {spent or 'of no price that is known'}."
        )
    lines.append(_quality(report))
    return lines


def _late(report: Report) -> list[str]:
    """Say what it means that events came late."""
    if not report.late():
        return []
    return [
        f"{report.late():,} events came late: they are older than what this log had been told "
        "before. Files that belong together are replayed together (see below)."
    ]


def _quality(report: Report) -> str:
    quality = report.quality
    if not quality or isnan(float(str(quality["auc"]))):
        return "The models saw too few labels to judge them."
    return (
        f"P(purchase) over the latest labels of {quality['labels']:,.0f}, predicted before they "
        f"were learned: AUC {quality['auc']:.3f}, log loss {quality['log_loss']:.3f}, "
        f"calibration {quality['calibration_ratio']:.2f} (1 is right)."
    )


def _money(minor: int, currency: str) -> str:
    whole, point, fraction = to_major(minor, currency).partition(".")
    return f"{int(whole):,}{point}{fraction}" if abs(minor) >= 100 else to_major(minor, currency)


def _offer(encoded: bytes) -> str:
    offer = orjson.loads(encoded)
    first, *more = offer["items"]
    others = f" (+{len(more)} more)" if more else ""
    return f"  {offer['customer_id']}: {first['product_id']}{others}, {first['reason']}"


def _places(report: Report) -> list[str]:
    lines = [f"  offers        {report.offers_file}"] if report.offers_file else []
    lines += [f"  refused rows  {report.refused_file}"] if report.refused_file else []
    if report.kept:
        return [*lines, f"  everything    {report.broker}"]
    return [*lines, "  all else was in a temporary directory, which is gone"]


def _next(report: Report) -> list[str]:
    files, mapping = report.given or ((report.file,), report.mapping)
    named = shlex.join(files)
    again = f"offerstream replay {named} --mapping {shlex.quote(mapping)}"
    if "-" in files:  # what came on standard input has to come again
        again = f"cat FILE | {again}"
    broker = shlex.quote(report.broker)
    if not report.finished and report.kept:
        pairs = [(f"{again} --broker {broker}", "go on where it ended")]
    elif not report.kept:
        pairs = [(f"{again} --broker local://./shop", "keep the log, the state and the models")]
    else:
        pairs = [(f"offerstream customers --broker {broker}", "what is known of customers")]
    if not report.offers_file and report.counts is not None:
        pairs.append((f"{again} --offers offers.jsonl", "every offer, with its reasons"))
    if report.late():
        together = again.replace(f"replay {named}", f"replay OTHER-FILES {named}", 1)
        pairs.append((together, "read all files together, in the order of time: none is late"))
    if (report.account.refused or report.rejected()) and not report.refused_file:
        pairs.append((f"{again} --refused refused.jsonl", "the refused rows, each with its reason"))
    pairs.append(("offerstream mappings show rees46", "a mapping to begin your own with"))
    width = max(len(command) for command, _ in pairs)
    return [f"  {command:<{width}}  {why}" for command, why in pairs]


def _listed(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Counts with what they count, the most first.

    >>> _listed({"a": 1, "b": 2_000}, {"a": "of the first"})
    '2,000 b, 1 of the first'
    """
    pairs = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count:,} {words.get(name, name)}" for name, count in pairs if count)
