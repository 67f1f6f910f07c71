"""Differences of two runs."""

import json

import pytest
from support.commands import invoke, refused
from support.tracked import Tracked, tracking


def test_differences_of_two_runs(mixed_store):
    found = json.loads(invoke("diff", mixed_store.first, mixed_store.second, "--format", "json"))
    values = {(each["part"], each["name"]): (each["left"], each["right"]) for each in found["differences"]}
    assert values == {
        ("run", "experiment"): ("one", "two, with a comma"),
        ("parameters", "code"): ("007", "8"),
        ("parameters", "layers"): ("2", "3"),
        ("parameters", "lr"): ("0.001", "1e-05"),
        ("parameters", "name"): ('a,b\n"c"', "x"),
        ("parameters", "shuffle"): ("True", "False"),
        ("metrics", "acc"): (0.7, 0.9),
        ("metrics", "acc.best"): (0.7, None),
        ("metrics", "loss"): ("nan", None),
        ("data", "datasets"): ("pjm:d1", "pjm:d2"),
        ("environment", "torch"): ("2.13", "2.14"),
    }
    assert found["alike"] == {"run": 2, "parameters": 0, "metrics": 0, "data": 0, "code": 1, "environment": 0}


def test_differences_for_readers(mixed_store):
    text = invoke("diff", mixed_store.first, mixed_store.second)
    assert "| acc | 0.7 | 0.9 |" in text
    assert "| acc.best | 0.7 | – |" in text
    assert "Alike: 2 run, 1 code." in text


def test_a_run_is_no_different_from_itself(mixed_store):
    found = json.loads(invoke("diff", mixed_store.first, mixed_store.first, "--format", "json"))
    assert found["differences"] == []
    assert found["alike"]["parameters"] == 5


def test_an_unknown_run_is_one_line(mixed_store):
    assert "there is no run 'abc' on sqlite:///" in refused("diff", mixed_store.first, "abc")
    assert "no run 0000" in refused("diff", mixed_store.first, "0" * 32)


def test_a_run_may_be_given_by_its_first_digits_or_its_name(mixed_store):
    whole = invoke("diff", mixed_store.first, mixed_store.second)
    assert invoke("diff", mixed_store.first[:6], mixed_store.second[:31]) == whole
    assert invoke("diff", "first", "second") == whole


def test_a_name_of_several_runs_lists_them(rows_store):
    line = refused("diff", "gru-2-seed0", "persistence-seed0")
    named = rows_store.client.search_runs(
        list(rows_store.experiments.values()), "attributes.run_name = 'gru-2-seed0'", order_by=["start_time DESC"]
    )
    assert len(named) == 4
    places = [line.index(f"{run.info.run_id[:8]} (gru-2-seed0, 2026-05-2") for run in named]
    assert places == sorted(places)
    assert line.count(", recurrent)") == 4


@pytest.fixture(scope="module")
def commands(tmp_path_factory, blank_database):
    """Two runs whose command lines share their first hundred letters."""
    store = Tracked(tmp_path_factory.mktemp("commands"), blank_database, "one")
    line = "python -m pipelines recurrent --models gru-2,lstm-2,rnn-2,gru-3,lstm-3,rnn-3 --dataset sample --epochs 1"
    for name, seed, more in (("a", 0, " --lr 0.01 --note 'as it was'"), ("b", 1, " --lr 0.02")):
        store.run(name, {"command": line + more, "seed": seed}, {"seed": seed, "lr": 0.01 * (seed + 1)})
    with tracking(store.uri):
        yield store


@pytest.mark.parametrize("form", ["markdown", "terminal"])
def test_of_commands_the_options_that_differ_are_shown(commands, form):
    text = invoke("diff", "a", "b", "--format", form)
    (line,) = [line for line in text.splitlines() if "--lr" in line]
    assert "… --lr 0.01 --note 'as it was'" in line
    assert "… --lr 0.02" in line
    assert "gru-2" not in text
    assert "--note" in json.loads(invoke("diff", "a", "b", "--format", "json"))["differences"][-1]["left"]


def test_a_seed_that_is_tag_and_parameter_stands_once(commands):
    found = json.loads(invoke("diff", "a", "b", "--format", "json"))
    assert [(each["part"], each["name"]) for each in found["differences"]] == [
        ("run", "seed"),
        ("parameters", "lr"),
        ("environment", "command"),
    ]
