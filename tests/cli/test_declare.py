"""Declared options: what a launch logs of them."""

from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.studies.options import TuneOptions

OWN = "the row's own value"


def test_a_launch_logs_no_number_that_stands_for_something_else():
    logged = RecurrentOptions.of({"hidden": "64", "seeds": 1}).logged()
    assert {name: logged[name] for name in ("epochs", "batch_size", "lr", "dropout")} == dict.fromkeys(
        ("epochs", "batch_size", "lr", "dropout"), OWN
    )
    plain = {"hidden": 64, "seeds": 1, "fraction": 1.0, "jobs": "auto", "force": False, "resume": "", "models": "all"}
    assert {name: logged[name] for name in plain} == plain
    assert list(logged) == RecurrentOptions.names()


def test_a_launch_logs_lists_and_limits_in_words_unless_they_are_given():
    assert PretrainOptions().logged()["sides"] == OWN
    assert PretrainOptions(sides="16,32").logged()["sides"] == [16, 32]
    assert TuneOptions().logged()["timeout"] == "no limit"
    assert TuneOptions(timeout=60).logged()["timeout"] == 60.0
