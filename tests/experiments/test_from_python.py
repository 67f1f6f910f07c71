"""Experiments run from Python, by the examples of their docstrings."""

import doctest
from importlib import import_module

import pytest
from support.place import serve_rows

from pipelines.errors import UserError
from pipelines.experiments.index import ENTRIES, experiment_of, options_of
from pipelines.experiments.pretrain import experiment as pretrain
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.experiments.recurrent import experiment as recurrent


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_example_of_the_docstring_runs(place, at, entry):
    at(place.folder, place.uri)
    serve_rows()
    run = import_module(f"pipelines.experiments.{entry}.experiment").run
    if entry == "resnet":  # it takes the champion
        pretrain.run(dataset="sample", models="resnet20", epochs=1, fraction=0.1)
    (example,) = doctest.DocTestParser().get_examples(run.__doc__)
    found = {"run": run}
    exec(example.source, found)
    runs = place.runs()
    launched = runs[f"{entry} sample"]
    assert launched.info.run_id == found["launched"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert any(run.data.tags.get("mlflow.parentRunId") == launched.info.run_id for run in runs.values())


def test_a_misspelt_option_is_refused_with_the_nearest_known_one():
    with pytest.raises(UserError, match=r"^unknown option 'epoch'; did you mean epochs\? Known are batch_size, "):
        recurrent.run(epoch=3)


@pytest.mark.parametrize(("name", "value"), [("lr", "nan"), ("fraction", 0), ("device", "gpu"), ("jobs", -1)])
def test_an_option_is_checked_as_on_the_command_line(name, value):
    with pytest.raises(UserError, match=f"^{name}="):
        recurrent.run(**{name: value})


def test_every_experiment_has_options_and_is_what_its_name_says():
    for entry in ENTRIES:
        experiment = experiment_of(entry)
        assert (experiment.name, experiment.options) == (entry, options_of(entry))


def test_what_the_command_line_has_converted_is_taken_as_it_is():
    """The command gives its options converted: 0 jobs for auto, a list of sides."""
    for entry in ENTRIES:
        options = options_of(entry)()
        assert options_of(entry)(**options.values()) == options
    assert PretrainOptions(sides="16, 24,32") == PretrainOptions(sides=[16, 24, 32])
