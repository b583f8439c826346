"""Campaigns: what ``schemas/campaigns`` allows, to and from the values that decisions ask.

Rules. A reader relies on the schema for types and bounds, and refuses what a schema can't say, with
a pointer to it: dates that end before they begin, a time zone that is none, what needs something
that is missing. ``read(write(campaign)) == campaign``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from stream.codec.events.native import Native, cut, instant, label, present
from stream.codec.refused import Refused
from stream.domain.campaign import (
    NO_REWARD,
    RECOMMEND,
    TIMED,
    WEEKDAYS,
    Audience,
    Bounds,
    Budget,
    By,
    Choosing,
    Goal,
    Hours,
    Incentive,
    ItemRule,
    Reward,
    Trait,
    Unit,
    Variant,
    zone_of,
)
from stream.domain.event import Campaign, RejectionCode
from stream.domain.text import tidy

NAME_LENGTH: Final = 256
DEEPEST: Final = 8  # audiences within audiences
LONGEST_WAIT: Final = 366 * 86_400_000  # ms
_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([1-9][0-9]*)(s|min|h|d)")


def read_campaign(data: Native) -> Campaign:
    """The campaign in a valid object; Refused for what a schema can't say."""
    get = data.get
    starts, ends = _moment(data, "starts_at"), _moment(data, "ends_at")
    if starts is not None and ends is not None and ends <= starts:
        raise _wrong("/ends_at is not after /starts_at")
    zone = get("time_zone") or "UTC"
    (strategy, wait), rules = _strategy(get("strategy")), tuple(map(_rule, get("rules") or ()))
    by_segment = tuple(
        (int(name) if name.isdecimal() else name, chosen)
        for name, chosen in (get("segment_strategies") or {}).items()
    )
    variants = _variants(get("variants"), wait)
    used = (strategy, *[way for _, way in by_segment], *[one.strategy for one in variants])
    if not rules and "rules" in used:
        raise _wrong("/rules is missing, which the strategy rules goes by")
    discount, ladder = int(get("discount_percent") or 0), _ladder(get("incentive"))
    if discount and ladder:
        raise _wrong("/discount_percent and /incentive say the same: leave one of them out")
    return Campaign(
        data["campaign_id"],
        cut(data["name"], NAME_LENGTH),
        strategy,
        int(get("priority") or 0),
        starts,
        ends,
        tuple(map(int, get("segments") or ())),
        tuple(label(category) or "" for category in get("categories") or ()),
        discount,
        _whole(get("daily_cap")),
        get("active") is not False,
        _audience(get("audience"), "/audience", 1),
        ladder,
        _budget(get("budget"), starts, ends),
        _hours(get("schedule"), zone, "schedule"),
        _hours(get("quiet_hours"), zone, "quiet_hours"),
        _whole(get("slate")),
        None if get("ttl") is None else duration(data["ttl"]),
        get("channel"),
        get("placement"),
        rules,
        by_segment,
        wait,
        variants,
        _choosing(get("choose"), variants, wait),
    )


def write_campaign(campaign: Campaign) -> Native:
    """The canonical native form: nothing that is absent, and each thing in one way."""
    hours = campaign.hours or campaign.quiet
    zone = None if hours is None or hours.zone == "UTC" else hours.zone
    return {
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "strategy": _write_strategy(campaign),
        "priority": campaign.priority,
        "starts_at": campaign.starts,
        "ends_at": campaign.ends,
        "segments": list(campaign.segments),
        "categories": list(campaign.categories),
        "discount_percent": campaign.discount,
        "daily_cap": campaign.daily_cap,
        "active": campaign.active,
        "audience": campaign.audience and _write_audience(campaign.audience),
        "incentive": _write_ladder(campaign.ladder),
        "budget": campaign.budget and _write_budget(campaign.budget),
        "time_zone": zone,
        "schedule": campaign.hours and _write_hours(campaign.hours),
        "quiet_hours": campaign.quiet and _write_hours(campaign.quiet, with_days=False),
        "slate": campaign.slate,
        "ttl": campaign.lifetime and _write_duration(campaign.lifetime),
        "channel": campaign.channel,
        "placement": campaign.placement,
        "rules": [_write_rule(rule) for rule in campaign.rules] or None,
        "segment_strategies": {str(name): chosen for name, chosen in campaign.by_segment} or None,
        "variants": [_write_variant(one) for one in campaign.variants] or None,
        "choose": _write_choosing(campaign.choosing) if campaign.variants else None,
    }


def duration(text: str) -> int:
    """A duration in ms.

    >>> duration("2h"), duration("30d")
    (7200000, 2592000000)
    """
    match = _DURATION.fullmatch(text)
    assert match is not None
    return int(match[1]) * _MS[match[2]]


def _write_duration(ms: int) -> str:
    unit = next(name for name in ("d", "h", "min", "s") if ms % _MS[name] == 0)
    return f"{ms // _MS[unit]}{unit}"


def _wrong(detail: str) -> Refused:
    return Refused(RejectionCode.VALUE_RANGE, detail)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _moment(data: Native, field: str) -> int | None:
    value = data.get(field)
    return None if value is None else instant(value, field)


def _strategy(said: str | Mapping[str, Any] | None) -> tuple[str, int]:
    """A strategy, and after how many ms it begins a moment of its own; 0 if it does not."""
    if not isinstance(said, Mapping):
        return said or RECOMMEND, 0
    ((name, when),) = said.items()
    wait = duration(when[TIMED[name]])
    if wait > LONGEST_WAIT:
        raise _wrong(f"/strategy/{name}/{TIMED[name]} is longer than a year")
    return name, wait


def _write_strategy(campaign: Campaign) -> str | Native:
    name = campaign.strategy
    return {name: {TIMED[name]: _write_duration(campaign.wait)}} if name in TIMED else name


# ---------------------------------------------------------------------------------------- variants


def _variants(data: Iterable[Native] | None, wait: int) -> tuple[Variant, ...]:
    found: list[Variant] = []
    for number, said in enumerate(data or ()):
        name, strategy, incentive = tidy(said["name"]), said.get("strategy"), said.get("incentive")
        if not name or name in [one.name for one in found]:
            raise _wrong(f"/variants/{number}/name is empty, or there already")
        if strategy is not None and wait:
            raise _wrong(f"/variants/{number}/strategy: who waits for a moment has one strategy")
        found.append(Variant(name, strategy, None if incentive is None else _reward(incentive)))
    return tuple(found)


def _choosing(
    said: str | Mapping[str, Any] | None, variants: tuple[Variant, ...], wait: int
) -> Choosing:
    if said is not None and not variants:
        raise _wrong("/variants is missing, of which /choose chooses one")
    fields: Mapping[str, Any] = said if isinstance(said, Mapping) else {"by": said or By.BANDIT}
    get = fields.get
    usual = Choosing()
    found = Choosing(
        By(get("by") or usual.by),
        Goal(get("goal") or usual.goal),
        float(usual.floor if get("floor") is None else fields["floor"]),
        usual.version if get("version") is None else int(fields["version"]),
    )
    if variants and wait and found.by is By.BANDIT:
        raise _wrong("/choose must be evenly: nobody learns yet of reminders and of win-backs")
    return found


def _write_variant(variant: Variant) -> Native:
    data: Native = {"name": variant.name, "strategy": variant.strategy}
    data["incentive"] = None if variant.reward is None else _write_reward(variant.reward)
    return {name: value for name, value in data.items() if value is not None}


def _write_choosing(choosing: Choosing) -> Native:
    by, goal, floor, version = choosing
    return {"by": by.value, "goal": goal.value, "floor": floor, "version": version}


# ---------------------------------------------------------------------------------------- audience


def _audience(data: Native | None, at: str, depth: int) -> Audience | None:
    if data is None:
        return None
    if depth > DEEPEST:
        raise _wrong(f"/audience goes deeper than {DEEPEST} audiences within one another")
    get = data.get
    return Audience(
        frozenset(map(tidy, get("members") or ())),
        frozenset(map(tidy, get("except") or ())),
        tuple(int(one) if not isinstance(one, str) else one for one in get("segments") or ()),
        tuple([_trait(name, said, at) for name, said in (get("traits") or {}).items()]),
        tuple([(name, _bounds(said, at)) for name, said in (get("profile") or {}).items()]),
        _words(get("likes")),
        _parts(get("any_of"), f"{at}/any_of", depth),
        _parts(get("none_of"), f"{at}/none_of", depth),
        None if get("propensity") is None else _bounds(data["propensity"], at),
        None if get("value_minor") is None else _bounds(data["value_minor"], at),
    )


def _parts(parts: Iterable[Native] | None, at: str, depth: int) -> tuple[Audience, ...]:
    found = []
    for number, part in enumerate(parts or ()):
        audience = _audience(part, f"{at}/{number}", depth + 1)
        if audience is None or audience == Audience():
            raise _wrong(f"{at}/{number} asks for nothing")
        if _asks_of_items(audience):
            raise _wrong(f"{at}/{number} asks for a propensity or a value: only /audience may")
        found.append(audience)
    return tuple(found)


def _asks_of_items(audience: Audience) -> bool:
    return audience.propensity is not None or audience.value is not None


def _trait(name: str, said: Any, at: str) -> Trait:
    name = tidy(name)
    if isinstance(said, dict):
        return Trait(name, (), _bounds(said, f"{at}/traits"))
    values = said if isinstance(said, list) else [said]
    return Trait(name, tuple(tidy(v) if isinstance(v, str) else v for v in values))


def _bounds(data: Native, at: str) -> Bounds:
    bounds = Bounds(data.get("min"), data.get("max"))
    if bounds.low is not None and bounds.high is not None and bounds.high < bounds.low:
        raise _wrong(f"{at} has a max that is below its min")
    return bounds


def _words(said: str | list[str] | None) -> tuple[str, ...]:
    return tuple([tidy(one) for one in ([said] if isinstance(said, str) else said or ())])


def _write_audience(audience: Audience) -> Native:
    return present(
        {
            "members": sorted(audience.members) or None,
            "except": sorted(audience.excluded) or None,
            "segments": list(audience.segments) or None,
            "traits": {trait.name: _write_trait(trait) for trait in audience.traits} or None,
            "profile": {name: _write_bounds(bounds) for name, bounds in audience.figures} or None,
            "likes": list(audience.liked) or None,
            "any_of": [_write_audience(part) for part in audience.any_of] or None,
            "none_of": [_write_audience(part) for part in audience.none_of] or None,
            "propensity": audience.propensity and _write_bounds(audience.propensity),
            "value_minor": audience.value and _write_bounds(audience.value),
        }
    )


def _write_trait(trait: Trait) -> Any:
    return list(trait.values) if trait.bounds is None else _write_bounds(trait.bounds)


def _write_bounds(bounds: Bounds) -> Native:
    return present({"min": bounds.low, "max": bounds.high})


# --------------------------------------------------------------------------- incentive and budget


def _ladder(data: Native | None) -> tuple[Reward, ...]:
    if data is None:
        return ()
    rungs = data.get("ladder")
    if rungs is None:
        reward = _reward(data)
        return (reward,) if reward.size else ()
    return tuple(map(_reward, rungs))


def _reward(data: Native) -> Reward:
    kind, said = next(iter(data.items()))
    if kind == "percent":
        reward = Reward(Incentive.PERCENT, int(said))
    elif kind == "amount_minor":
        reward = Reward(Incentive.AMOUNT, int(said))
    elif kind == "free_shipping":
        reward = Reward(Incentive.FREE_SHIPPING, int(said["cost_minor"]))
    else:
        reward = NO_REWARD
    return reward if reward.size else NO_REWARD


def _write_ladder(ladder: tuple[Reward, ...]) -> Native | None:
    if not ladder:
        return None
    rungs = [_write_reward(reward) for reward in ladder]
    return rungs[0] if len(rungs) == 1 else {"ladder": rungs}


def _write_reward(reward: Reward) -> Native:
    if reward.kind is Incentive.PERCENT:
        return {"percent": reward.size}
    if reward.kind is Incentive.AMOUNT:
        return {"amount_minor": reward.size}
    if reward.kind is Incentive.FREE_SHIPPING:
        return {"free_shipping": {"cost_minor": reward.size}}
    return {"none": True}


def _budget(data: Native | None, starts: int | None, ends: int | None) -> Budget | None:
    if data is None:
        return None
    offers, money = _whole(data.get("offers")), _whole(data.get("money_minor"))
    even = data.get("pacing") == "even"
    if (offers is None) == (money is None):
        raise _wrong("/budget needs one of offers and money_minor")
    if even and (starts is None or ends is None):
        raise _wrong("/budget/pacing even needs /starts_at and /ends_at")
    if money is not None:
        return Budget(Unit.MONEY, money, even)
    return Budget(Unit.OFFERS, offers or 0, even)


def _write_budget(budget: Budget) -> Native:
    name = "offers" if budget.unit is Unit.OFFERS else "money_minor"
    return {name: budget.limit} | ({"pacing": "even"} if budget.even else {})


# ------------------------------------------------------------------------------- hours and rules


def _hours(data: Native | None, zone: str, field: str) -> Hours | None:
    try:
        zone_of(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong("/time_zone is no name of a time zone, such as Europe/Berlin") from None
    if not data:
        return None
    days = tuple(sorted({WEEKDAYS.index(day) for day in data.get("days") or WEEKDAYS}))
    start, end = _minute(data.get("from")), _minute(data.get("until"))
    if field == "quiet_hours" and start == end:
        raise _wrong("/quiet_hours end when they begin: pause the campaign instead")
    return Hours(zone, days, start, end)


def _minute(text: str | None) -> int:
    return 0 if text is None else int(text[:2]) * 60 + int(text[3:])


def _write_hours(hours: Hours, with_days: bool = True) -> Native:
    words = [f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.start, hours.end)]
    days = {"days": [WEEKDAYS[day] for day in hours.days]} if with_days else {}
    return days | {"from": words[0], "until": words[1]}


def _rule(data: Native) -> ItemRule:
    when = data.get("if") or {}
    words = [_words(when.get(name)) for name in ("viewed", "bought", "category")]
    return ItemRule(_words(data["then"]["items"]), *words)


def _write_rule(rule: ItemRule) -> Native:
    when = {"viewed": rule.viewed, "bought": rule.bought, "category": rule.categories}
    said = {name: list(words) for name, words in when.items() if words}
    return ({"if": said} if said else {}) | {"then": {"items": list(rule.items)}}
