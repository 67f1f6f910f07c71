"""Every command that the runs of the demo have recorded, pasted, makes the same figures again."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import starmap

import pytest
from support.place import Place

from pipelines.commands import main
from pipelines.experiments.ablation import rows
from pipelines.studies import command

# The demo with less to train: every entry, in its order.
SMALL = {
    "recurrent": {"dataset": "sample", "models": "gru-2,linear-ar", "hidden": 8, "epochs": 2},
    "ablation": {"dataset": "sample", "variants": "mlp-2", "epochs": 2, "seeds": 2},
    "pretrain": {"dataset": "sample", "models": "resnet20", "epochs": 1, "fraction": 0.2},
    "resnet": {"dataset": "sample", "models": "resnet20"},
    "tune": {"study": "ablation", "dataset": "sample", "n_trials": 2, "finalists": 0, "fraction": 0.2},
}

# Metrics that no two launches share: times, memory, and accuracies in the precisions that were tried for their speed.
COST = re.compile(r"(_time_s|_per_s|_mb|cpu_s|energy_j)\b|^precision/test_accuracy")


@pytest.fixture(scope="module")
def short() -> Iterator[None]:
    """The winner of a study is trained with one seed, as another entry has two, and for two epochs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command, "WINNER_SEEDS", 1)
        patched.setattr(rows, "IMAGE_PROTOCOLS", [replace(each, epochs=2) for each in rows.IMAGE_PROTOCOLS])
        yield


@pytest.fixture(scope="module")
def demo(short, tmp_path_factory, blank_database) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("demo"))
    shutil.copy(blank_database, place.database)
    assert SMALL.keys() == main.PRESETS["demo"].keys()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(main.PRESETS, "demo", SMALL)
        assert place.invoke("main") == 0, place.stderr
    yield place
    place.end()


@pytest.fixture(scope="module")
def pasted(demo, tmp_path_factory, blank_database) -> Iterator[Place]:
    """A place where the recorded commands were given, and nothing else, in the order of their launches."""
    place = Place(tmp_path_factory.mktemp("pasted"))
    shutil.copy(blank_database, place.database)
    launches = [run for run in demo.runs().values() if run.data.tags.get("entry") in SMALL and not is_nested(run)]
    launches.sort(key=lambda run: run.info.start_time)
    assert [run.data.tags["entry"] for run in launches] == list(SMALL)
    for run in launches:
        python, flag, module, *arguments = shlex.split(run.data.tags["command"])
        assert (python, flag) == ("python", "-m")
        assert place.invoke(*arguments, module=module) == 0, place.stderr
    yield place
    place.end()


def is_nested(run) -> bool:
    """Tells whether it is the run of a row or of a trial."""
    return bool({"row", "trial"} & run.data.tags.keys())


def figures(place) -> dict[str, dict[str, float]]:
    """Metrics of every row and trial, by the name of its run and its entry."""

    def of(name, run):
        metrics = {metric: value for metric, value in run.data.metrics.items() if not COST.search(metric)}
        return f"{run.data.tags['entry']} {name}", metrics

    return dict(starmap(of, ((name, run) for name, run in place.runs().items() if is_nested(run))))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_recorded_command_makes_the_same_figures_again(demo, pasted):
    expected = figures(demo)
    # Two rows and two seeds, a training and an evaluation of a ResNet, two trials and the winner.
    assert {name.split()[0] for name in expected} == {"recurrent", "ablation", "pretrain", "resnet", "tune"}
    assert all(expected.values())
    assert figures(pasted) == expected


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_run_has_a_command_that_names_its_entry(demo):
    for name, run in demo.runs().items():
        words = shlex.split(run.data.tags["command"])
        launched = {"main": "main", "report": "report"}.get(run.data.tags["entry"])
        nested_in = run.data.tags.get("study") and "tune"
        assert words[3] == (launched or nested_in or run.data.tags["entry"]), name
