"""Runs given by id, first digits or name, with searches answered from a list."""

import re
from datetime import datetime

import pytest

from pipelines.common.run_ids import Known, resolve
from pipelines.errors import UserError

WHEN = datetime(2026, 11, 26, 0, 20)


class Store:
    """Answers the conditions that `resolve` asks about these runs, newest first."""

    def __init__(self, *runs: tuple[str, str]):
        self.runs = [Known(run_id, name, WHEN, "recurrent") for run_id, name in runs]
        self.asked: list[str] = []

    def __call__(self, condition: str, limit: int) -> list[Known]:
        self.asked.append(condition)
        found = self.runs
        if given := re.search(r"run_id LIKE '(\w+)%'", condition):
            found = [run for run in found if run.run_id.startswith(given[1])]
        if given := re.search(r"run_name = (['\"])(.*?)\1", condition):
            found = [run for run in found if run.name == given[2]]
        if "FINISHED" in condition:
            found = [run for run in found if run.run_id.startswith("a")]
        return found[:limit]


def refusal(given: str, store: Store, preferred: str = "") -> str:
    with pytest.raises(UserError) as error:
        resolve(given, store, "here", preferred)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_id_is_not_searched_for():
    store = Store()
    assert resolve("ab" * 16, store, "here") == "ab" * 16
    assert store.asked == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("abcdef", "abcdef" + "0" * 26),
        ("abcdef" + "0" * 25, "abcdef" + "0" * 26),
        ("it's", "12" * 16),
        ("five5", "34" * 16),
    ],
)
def test_first_digits_or_a_name_of_one_run_are_that_run(given, expected):
    store = Store(("abcdef" + "0" * 26, "one"), ("12" * 16, "it's"), ("34" * 16, "five5"))
    assert resolve(given, store, "here") == expected


@pytest.mark.parametrize("given", ["abcde", "ABCDEF", "abcdeg", "", "abcdef%", "abcdef' or '1"])
def test_less_or_other_than_six_digits_are_no_beginning(given):
    assert refusal(given, Store(("abcdef" + "0" * 26, "one"))).startswith(f"there is no run {given!r} on here")


def test_several_are_listed_with_digits_that_tell_them_apart():
    store = Store(*((f"abcdef0123{number:022x}", f"run {number}") for number in range(12)))
    message = refusal("abcdef", store)
    assert message.count("2026-11-26 00:20, recurrent") == 10
    assert ", and more" in message
    ids = re.findall(r"(\w+) \(run \d", message)
    assert len(set(ids)) == len(ids) == 10


def test_digits_that_are_also_a_name_are_several():
    store = Store(("abcdef" + "0" * 26, "one"), ("12" * 16, "abcdef"))
    assert "abcdef00 (one, " in refusal("abcdef", store)


def test_those_preferred_decide_only_if_they_are_one():
    one, other, third = "a" + "1" * 31, "b" + "1" * 31, "a" + "2" * 31
    preferred = "attributes.status != 'FINISHED'"
    assert resolve("gru", Store((one, "gru"), (other, "gru")), "here", preferred) == one
    assert resolve("gru", Store((other, "gru")), "here", preferred) == other
    message = refusal("gru", Store((one, "gru"), (other, "gru"), (third, "gru")), preferred)
    assert other[:8] not in message
    assert one[:8] in message


def test_near_names_are_asked_about():
    assert refusal("gru-2-sed0", Store(("12" * 16, "gru-2-seed0"))).endswith("did you mean gru-2-seed0?")


def test_a_start_that_no_calendar_has_is_none():
    assert Known.of("a", None, 10**18, None) == Known("a", "", None, "")
