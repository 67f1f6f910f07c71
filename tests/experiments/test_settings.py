"""Settings: what is logged, and what plain data is refused."""

import json
from itertools import pairwise

import pytest

from pipelines.errors import UserError
from pipelines.experiments.ablation.rows import ClassifierSettings, resolve_classifier
from pipelines.experiments.base import changed, read
from pipelines.experiments.recurrent.rows import (
    LADDER,
    BaselineSettings,
    RelativeSettings,
    ReportSettings,
    read_settings,
    resolve,
)

CNN = resolve_classifier("cnn", "sample", "autograd", 0, 1.0)


def test_a_misspelt_setting_is_refused_with_the_nearest_known_one():
    """It used to be accepted in silence, and momentum stayed as it was."""
    with pytest.raises(UserError, match=r"^unknown setting 'momentun'; did you mean momentum\? Known are activation, "):
        resolve_classifier("cnn", "sample", "autograd", 0, 1.0, momentun=0.5)
    with pytest.raises(UserError, match=r"^unknown setting 'zzz'; known are activation, batch_size, "):
        changed(CNN, zzz=1)
    with pytest.raises(UserError, match=r"did you mean hidden\? Known are "):
        read(ClassifierSettings, CNN.params() | {"hiden": [8]})


def test_what_is_logged_is_what_the_plan_gives_back():
    for settings in (
        resolve("gru-2", "pjm", "dense", 1, 0.5, lr=0.25),
        resolve("persistence", "pjm", "dense", 1, 0.5),
        resolve("gru-relative-336", "pjm", "dense", 1, 0.5, dropout=0.5),
    ):
        assert read_settings(json.loads(json.dumps(settings.params()))) == settings
    assert read(ClassifierSettings, json.loads(json.dumps(CNN.params()))) == CNN


def test_a_row_has_the_settings_of_its_kind():
    assert type(resolve("persistence", "pjm", "dense", 0, 1.0)) is BaselineSettings
    assert type(resolve("gru-2", "pjm", "dense", 0, 1.0)) is ReportSettings
    assert type(resolve("mlp-lags", "pjm", "dense", 0, 1.0)) is RelativeSettings


def test_each_rung_of_the_ladder_changes_one_thing_then_the_form_then_the_training():
    rungs = [resolve(row, "pjm", "dense", 0, 1.0).protocol() for row in (*LADDER, "gru-relative")]
    changes = [
        {name for name in after if name != "row" and after[name] != before[name]} for before, after in pairwise(rungs)
    ]
    *single, form, training = changes
    assert single == [{"calendar"}, {"lags"}, {"identity"}, {"loss"}]
    assert form == {"layers", "hidden", "head"}
    assert training == {"epochs", "weight_decay", "average"}


def test_values_from_a_command_line_have_the_type_of_their_setting():
    """`standardise=False` used to be true, and `batch_size=64` a float that crashed the training."""
    settings = resolve("gru-2", "pjm", "dense", 0, 1.0)
    typed = read(ReportSettings, settings.params() | {"standardise": "False", "batch_size": "64", "lr": "1e-3"})
    assert (typed.standardise, typed.batch_size, typed.lr) == (False, 64, 0.001)
    assert isinstance(typed.batch_size, int)


@pytest.mark.parametrize(("name", "value"), [("batch_size", "many"), ("batch_size", 1.5), ("hidden", "wide")])
def test_a_value_of_another_type_is_refused_in_one_line_that_names_it(name, value):
    with pytest.raises(UserError, match=rf"^setting {name}: .*{value}") as refused:
        read(ClassifierSettings, CNN.params() | {name: value})
    assert "\n" not in str(refused.value)


def test_a_missing_setting_is_named():
    values = CNN.params()
    del values["kernel"]
    with pytest.raises(UserError, match=r"^setting kernel: "):
        read(ClassifierSettings, values)


def test_lists_are_logged_as_lists_and_what_is_empty_is_not():
    params = CNN.params()
    assert str(params["channels"]) == "[6, 16]"
    assert "study" not in params
    assert changed(CNN, study="s").params()["study"] == "s"


def test_the_cores_of_a_row_are_those_of_all_its_replicas():
    assert resolve("gru-2", "pjm", "dense", 0, 1.0, threads=2, replicas=3).cores == 6
    assert resolve("persistence", "pjm", "dense", 0, 1.0).cores == 1
    assert changed(CNN, threads=3).cores == 3


def test_where_a_row_is_trained_is_no_part_of_its_protocol():
    """A row trained in bf16 or on a GPU departs in nothing from the catalogue's."""
    own = resolve("gru-2", "pjm", "dense", 0, 1.0)
    moved = changed(own, device="cuda:1", precision="bf16")
    assert (moved.params()["device"], moved.params()["precision"]) == ("cuda:1", "bf16")
    assert moved.protocol() == own.protocol()
    assert {"device", "precision"}.isdisjoint(own.protocol())
