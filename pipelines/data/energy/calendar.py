"""Facts about the days of a place that its electricity load depends on: daylight saving and public holidays."""

from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np

FIRST, LAST = date(1990, 1, 1), date(2049, 12, 31)
_EPOCH = date(1970, 1, 1)
_AROUND = ("daylight saving", "before a holiday", "after a holiday")  # facts that come before the holidays' own


@cache
def day_facts(country: str, timezone: str) -> tuple[int, tuple[str, ...], np.ndarray]:
    """Facts about each day from FIRST to LAST.

    Args:
        country: ISO 3166 code with its subdivision where one is meant, as ``US`` or ``GB-ENG``; empty: no holidays.
        timezone: IANA name; empty: no daylight saving.

    Returns:
        Days from 1970-01-01 to FIRST; the names of the facts, "daylight saving", "before a holiday", "after a holiday"
        and each public holiday's own; and (days, facts) uint8, 1 where a fact holds. A holiday that is observed on
        another day holds on both.
    """
    days = [FIRST + timedelta(number) for number in range((LAST - FIRST).days + 1)]
    named: dict[date, str] = {}
    if country:
        code, _, part = country.partition("-")
        named = dict(
            holidays.country_holidays(
                code, subdiv=part or None, years=range(FIRST.year - 1, LAST.year + 2), language="en_US"
            )
        )
    kinds = {day: _kinds(name) for day, name in named.items()}
    own = tuple(sorted({kind for day in days for kind in kinds.get(day, ())}))
    one = timedelta(1)
    rows = [
        [_saving(day, timezone), day + one in named, day - one in named, *(kind in kinds.get(day, ()) for kind in own)]
        for day in days
    ]
    facts = np.array(rows, dtype=np.uint8)
    facts.flags.writeable = False
    return (FIRST - _EPOCH).days, (*_AROUND, *own), facts


def are_holidays(times: np.ndarray, country: str) -> np.ndarray:
    """Whether each of `times` (n,) datetime64 is in a public holiday of `country`, (n,) bool; False where unknown."""
    first, _, table = day_facts(country, "")
    days = times.astype("datetime64[D]").astype(np.int64) - first
    known = (days >= 0) & (days < len(table))
    return known & (table[np.clip(days, 0, len(table) - 1)][:, len(_AROUND) :].any(axis=1))


def _kinds(name: str) -> set[str]:
    return {part.removesuffix(" (observed)").strip() for part in name.split(";")}


def _saving(day: date, timezone: str) -> bool:
    """Whether the clock shows daylight saving time at noon."""
    if not timezone:
        return False
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(timezone))
    return bool(noon.dst())
