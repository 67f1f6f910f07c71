"""What a study that goes on keeps of its first launch."""

from contextlib import contextmanager

import pytest

from pipelines.studies import command, plan
from pipelines.studies.options import TuneOptions


class LaunchedError(Exception):
    """Stands for all that a launch does once it is planned."""


@pytest.fixture
def launched(place, at, monkeypatch):
    """A function: the precision in which a launch would train trials on a machine with this as its fastest."""
    at(place.folder, place.uri)
    found = []

    @contextmanager
    def launching(experiment, options, require):
        found.append(experiment.surroundings.plan.precision)
        raise LaunchedError
        yield

    def give(fastest: str, **options: object) -> str:
        monkeypatch.setattr(plan, "available_precision", lambda precision, device: fastest)
        monkeypatch.setattr(command, "launching", launching)
        with pytest.raises(LaunchedError):
            command.run(TuneOptions(dataset="sample", device="cpu", **options))
        return found[-1]

    return give


def test_a_study_goes_on_in_the_precision_that_it_began_with(launched, capsys):
    """Trials in bf16 and in fp32 would differ by that, and not by their settings alone."""
    assert launched("bf16") == "bf16"
    assert "as the study began" not in capsys.readouterr().err
    assert launched("fp32") == "bf16"
    assert "in bf16, as the study began, though fp32 is the faster here" in capsys.readouterr().err
    assert launched("fp32", name="another") == "fp32"


def test_a_study_whose_settings_have_no_precision_says_nothing_of_it(launched, capsys):
    assert launched("bf16", study="ablation") == launched("fp32", study="ablation") == ""
    assert "as the study began" not in capsys.readouterr().err
