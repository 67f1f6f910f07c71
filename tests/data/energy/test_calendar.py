"""Facts about days, against the calendars of the places."""

from datetime import date, timedelta

import numpy as np
import pytest

from pipelines.data.energy.calendar import are_holidays, day_facts

EPOCH = date(1970, 1, 1)


def holding(country: str, timezone: str, day: str) -> set[str]:
    first, facts, table = day_facts(country, timezone)
    row = table[(date.fromisoformat(day) - EPOCH).days - first]
    return {name for name, holds in zip(facts, row, strict=True) if holds}


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2016-07-04", {"daylight saving", "Independence Day"}),
        ("2016-07-03", {"daylight saving", "before a holiday"}),
        ("2016-11-25", {"after a holiday"}),  # the day after Thanksgiving
        ("2017-11-10", {"Veterans Day", "before a holiday"}),  # a Friday, on which it was observed
        ("2017-11-11", {"Veterans Day", "after a holiday"}),
        ("2016-03-12", set()),  # daylight saving began on the 13th
        ("2016-03-13", {"daylight saving"}),
        ("2006-04-01", set()),  # and until 2006 in April
        ("2006-04-02", {"daylight saving"}),
    ],
)
def test_days_in_the_united_states(day, expected):
    assert holding("US", "America/New_York", day) == expected


def test_days_in_england():
    assert holding("GB-ENG", "Europe/London", "2000-08-28") == {"daylight saving", "Late Summer Bank Holiday"}
    assert "Boxing Day" in holding("GB-ENG", "Europe/London", "2000-12-26")
    assert holding("GB-ENG", "Europe/London", "2000-11-23") == set()


def test_an_unknown_place_has_neither_holidays_nor_daylight_saving():
    _, facts, table = day_facts("", "")
    assert facts == ("daylight saving", "before a holiday", "after a holiday")
    assert not table.any()


def test_the_table_has_a_row_for_each_day():
    first, facts, table = day_facts("US", "America/New_York")
    assert EPOCH + timedelta(first) == date(1990, 1, 1)
    assert table.shape == ((date(2050, 1, 1) - date(1990, 1, 1)).days, len(facts))
    assert table.dtype == np.uint8


def test_hours_of_holidays():
    times = np.array(
        ["2017-12-24T23", "2017-12-25T00", "2017-12-25T23", "2017-12-26T00", "1800-12-25"], "datetime64[s]"
    )
    assert are_holidays(times, "US").tolist() == [False, True, True, False, False]
    assert not are_holidays(times, "").any()
