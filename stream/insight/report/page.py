"""A report as one HTML page that needs nothing from elsewhere: text, tables and SVG.

Rules: whatever comes from the log is escaped; there is no script and no address in the page, and a
policy in its head forbids both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from stream.domain.money import to_major
from stream.insight.plot import line_chart
from stream.insight.report.fairness import words as words_of_group
from stream.insight.report.variants import words as words_of_variant

DAY: Final = 86_400_000
_WIDTH, _ROW, _LEFT = 720, 26, 220
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:2rem auto;
max-width:60rem;padding:0 1rem}h1{font-size:1.7rem;margin:0}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;
border-bottom:1px solid #d8dee4;padding-bottom:.2rem}p.note{color:#57606a;margin:.3rem 0}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;text-align:right;
border-bottom:1px solid #eaeef2}th:first-child,td:first-child{text-align:left}th{color:#57606a;
font-weight:600}.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.tile{border:1px solid
#d8dee4;border-radius:8px;padding:.7rem 1rem;min-width:8rem}.tile b{display:block;font-size:1.4rem}
.warn{background:#fff1e5;border-left:4px solid #bc4c00;padding:.5rem .8rem;margin:.6rem 0}
svg{max-width:100%;height:auto}"""


def page(told: Mapping[str, Any]) -> str:
    """Return a report as a whole HTML document.

    Parameters
    ----------
    told
        As by `stream.insight.report.figures.report`.
    """
    title = f"Offers, {_date(told['from'])} to {_date(told['until'])}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">{escape(_method(told))}</p>',
        *_tiles(told),
        *_lift(told),
        *_campaigns(told),
        *_over_time(told),
        *_variants(told),
        *_decisions(told),
        *_fairness(told),
        *_suppressed(told),
        *_segments(told),
        *_model(told),
        *_rules(told),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _method(told: Mapping[str, Any]) -> str:
    hours = told["attribution_seconds"] / 3600
    seen = "was shown" if told["seen_by"] == "impressions" else "was made"
    words = {"last": "the last offer", "first": "the first offer", "linear": "all offers alike"}
    return (
        f"A purchase is put down to {words[told['credit']]} that {seen} with an item of it "
        f"within {hours:g} h before."
    )


def _tiles(told: Mapping[str, Any]) -> list[str]:
    funnel = told["funnel"]
    names = ("offers", "shown", "clicked", "dismissed", "converted")
    tiles = [(name, f"{funnel[name]:,.0f}") for name in names]
    tiles.append(("revenue", _money(funnel["revenue_minor"], told)))
    inner = "".join(f'<div class="tile"><b>{escape(v)}</b>{escape(n)}</div>' for n, v in tiles)
    return [f'<div class="tiles">{inner}</div>']


def _lift(told: Mapping[str, Any]) -> list[str]:
    found = told["experiment"]
    parts = ["<h2>Did it help?</h2>"]
    if found is None:
        return [*parts, "<p>Nobody is held out, so nobody can tell.</p>"]
    if found["sample_ratio_mismatch"]:
        parts.append(
            '<p class="warn">The arms are not of the sizes that were meant. Find out why before '
            "you trust any figure here.</p>"
        )
    parts += [f'<p class="warn">{escape(stop)}</p>' for stop in found["guardrail"]]
    rows = [
        (
            arm,
            f"{one['customers']:,}",
            _percent(one["conversion"]),
            "–" if one["revenue_minor"] is None else _money(one["revenue_minor"], told),
        )
        for arm, one in found["arms"].items()
    ]
    parts.append(_table(("arm", "customers", "bought", "revenue a customer"), rows))
    for name, lift in found["lift"].items():
        parts.append(f"<p>{escape(words_of_lift(name, lift, told))}</p>")
        if lift["interval"] is not None:
            parts.append(_interval(lift["estimate"], *lift["interval"]))
    parts.append(
        '<p class="note">By customers who visited, whether an offer reached them or not. The '
        "intervals are of 95 % and hold at every look; what customers spent before is taken "
        "out.</p>"
    )
    return parts


def words_of_lift(name: str, lift: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """Say a lift over holdout in one sentence."""
    what = "buyers among customers" if name == "conversion" else "revenue a customer"
    if lift["interval"] is None:
        return f"{what}: too few customers or purchases to tell."

    def say(value: float) -> str:
        if name == "conversion":
            return f"{100 * value:+.2f} points"
        return ("+" if value >= 0 else "-") + _money(abs(value), told)

    low, high = lift["interval"]
    verdict = "not told from none yet"
    if lift["excludes_zero"]:
        verdict = "more than without offers" if low > 0 else "less than without offers"
    return f"{what}: {say(lift['estimate'])} ({say(low)} … {say(high)}): {verdict}."


def _campaigns(told: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            f"{one['campaign']} / {one['arm']}",
            f"{one['offers']:,.0f}",
            f"{one['shown']:,.0f}",
            f"{one['clicked']:,.0f}",
            f"{one['dismissed']:,.0f}",
            f"{one['converted']:,.1f}",
            _money(one["revenue_minor"], told),
        )
        for one in told["campaigns"]
    ]
    head = ("campaign / arm", "offers", "shown", "clicked", "dismissed", "converted", "revenue")
    funnel = {name: told["funnel"][name] for name in ("offers", "shown", "clicked", "converted")}
    return ["<h2>Campaigns</h2>", _table(head, rows), _bars(funnel.items())]


def _over_time(told: Mapping[str, Any]) -> list[str]:
    days = told["days"]
    if len(days) < 2:
        return []
    first = days[0]["day"]
    names = [name for name in days[0] if name != "day"]
    lines = {name: [((d["day"] - first) / DAY, float(d[name])) for d in days] for name in names}
    chart = line_chart(lines, "A day", f"days since {_date(first)}", "count")
    return ["<h2>Day by day</h2>", chart]


def _variants(told: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>Which variant brings most?</h2>"] if told["variants"] else []
    names = ("trials", "share", "bought", "dismissed", "purchases a trial, if all got it", "")
    for campaign in told["variants"]:
        rows = [(one["variant"], *words_of_variant(one)) for one in campaign["variants"]]
        parts.append(_table((campaign["campaign"], *names), rows))
    return parts


def _decisions(told: Mapping[str, Any]) -> list[str]:
    found = told["decisions"]
    if found is None:
        return []
    note = (
        f"Of {100 * found['share']:g} % of customers every decision is told: {found['moments']:,} "
        f"moments of {found['customers']:,} customers, in {found['not_allowed']:,} of which offers "
        "were not allowed."
    )
    names = ("customers", "visits", "moments", "offers", "bought")
    rows = [(arm, *(f"{one[name]:,}" for name in names)) for arm, one in found["arms"].items()]
    table = _table(("arm", *names), rows)
    return ["<h2>What was decided</h2>", f'<p class="note">{escape(note)}</p>', table]


def _fairness(told: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>Are groups treated alike?</h2>"] if told["fairness"] else []
    for group in told["fairness"]:
        name = group["group"]
        head = (name, "customers", "offered", "over the highest", "incentive", "over the highest")
        rows = [(value or "none", *cells) for value, cells in words_of_group(group)]
        parts.append(_table(head, rows))
        if group["not_shown"]:
            note = f"{group['not_shown']:,} values of {name} have too few customers to be shown."
            parts.append(f'<p class="note">{escape(note)}</p>')
    return parts


def _suppressed(told: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>Why there was no offer</h2>"]
    if not told["suppressed"]:
        return [*parts, "<p>Nothing was refused.</p>"]
    note = '<p class="note">Counted by the workers since the beginning of the log.</p>'
    named = ((name.replace("_", " "), count) for name, count in told["suppressed"].items())
    return [*parts, note, _bars(named)]


def _segments(told: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            "none yet" if one["segment"] is None else str(one["segment"]),
            *(f"{one[name]:,}" for name in ("customers", "offers", "shown", "clicked")),
        )
        for one in told["segments"]
    ]
    head = ("segment", "customers", "offers", "shown", "clicked")
    return ["<h2>Segments</h2>", _table(head, rows)]


def _model(told: Mapping[str, Any]) -> list[str]:
    model = told["model"]
    parts = ["<h2>Does P(purchase) keep its word?</h2>"]
    if model["calibration_ratio"] is None:
        seen, bought = model["items_seen"], model["bought"]
        words = f"Too few to tell: {seen:,} items were reported as seen, {bought:,} of them bought."
        return [*parts, f"<p>{words}</p>"]
    parts.append(
        f"<p>Of {model['items_seen']:,} items seen {model['bought']:,} were bought; foreseen were "
        f"{model['calibration_ratio']:.2f} times as many (1 is right). AUC {model['auc']:.3f}, "
        f"log loss {model['log_loss']:.4f}.</p>"
    )
    rows = [
        (str(n), _percent(one["predicted"]), _percent(one["observed"]), f"{one['items']:,}")
        for n, one in enumerate(model["bins"], 1)
    ]
    points = [(one["predicted"], one["observed"]) for one in model["bins"]]
    most = max(max(point) for point in points)
    lines = {"items, by tenths": points, "right": [(0.0, 0.0), (most, most)]}
    parts.append(line_chart(lines, "Calibration", "predicted", "bought"))
    return [*parts, _table(("tenth", "predicted", "bought", "items"), rows)]


def _rules(told: Mapping[str, Any]) -> list[str]:
    rules = told["rules"]
    parts = ["<h2>Bought together</h2>", f"<p>{rules['count']:,} rules stand.</p>"]
    if not rules["top"]:
        return parts
    names = sorted({name for rule in rules["top"] for name in rule if name != "schema_version"})
    rows = [tuple(_cell(rule.get(name)) for name in names) for rule in rules["top"]]
    return [*parts, _table(tuple(name.replace("_", " ") for name in names), rows)]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _bars(values: Iterable[tuple[str, float]]) -> str:
    """Draw named counts as bars."""
    given = list(values)
    most = max([count for _, count in given], default=0) or 1
    parts = [_svg(len(given) * _ROW + 4)]
    for n, (name, count) in enumerate(given):
        y, width = n * _ROW + 4, (_WIDTH - _LEFT - 90) * count / most
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_ROW - 6}" fill="#0969da"/>'
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 15}">{count:,.0f}</text>'
        )
    return "".join([*parts, "</svg>"])


def _interval(estimate: float, low: float, high: float) -> str:
    """Draw an interval on a line on which 0 is marked."""
    start, end = min(low, 0.0), max(high, 0.0)
    start, end = start - 0.05 * (end - start or 1.0), end + 0.05 * (end - start or 1.0)

    def place(value: float) -> str:
        return f"{20 + (_WIDTH - 40) * (value - start) / (end - start):.1f}"

    colour = "#1a7f37" if low > 0 else "#cf222e" if high < 0 else "#57606a"
    return (
        _svg(40)
        + f'<path d="M20 20H{_WIDTH - 20}" stroke="#d8dee4"/>'
        + f'<path d="M{place(0.0)} 6V34" stroke="#1b1f24" stroke-dasharray="3 3"/>'
        + f'<path d="M{place(low)} 20H{place(high)}" stroke="{colour}" stroke-width="6"/>'
        + f'<circle cx="{place(estimate)}" cy="20" r="7" fill="{colour}"/></svg>'
    )


def _svg(height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">'
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def _money(minor: float, told: Mapping[str, Any]) -> str:
    return f"{to_major(round(minor), told['currency'])} {told['currency']}"


def _date(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d")
