"""A bad parameter, or data that are not there: one line on stderr, exit code 2, and nothing is left behind."""

import pytest
import torch
from support.launches import complaint


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--models", "gru-9"), "unknown gru-9; known are all, gru-2"),
        (("--models", ","), "unknown (none)"),
        (("--lr", "abc"), "'abc' is not a number"),
        (("--lr", "-1"), "--lr"),
        (("--lr", "nan"), "--lr"),
        (("--fraction", "0"), "--fraction"),
        (("--fraction", "2"), "--fraction"),
        (("--fraction", "0.01"), "give more data or training=window"),
        (("--seeds", "0"), "--seeds"),
        (("--jobs", "0"), "--jobs"),
        (("--training", "foo"), "'foo' is not one of 'dense', 'window'"),
        (("--dataset", "foo"), "'foo' is not one of"),
        (("--device", "tpu"), "none of auto, cpu, cuda"),
        (("--device", "cuda"), "device=cuda is not to be had here"),
        (("--resume", "nonexistent"), "there is no database"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, refused, arguments, what):
    if arguments == ("--device", "cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert what in refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "sample", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.fault(5)
def test_bad_input_as_a_command(place, small):
    place.database.unlink()
    assert place.launch(*small, "--models", "gru-9") == 2
    assert complaint(place) == place.stderr.strip()
    assert not place.database.exists()


def test_data_that_cannot_be_had(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "pjm")
    for way_on in ("python -m pipelines prepare --dataset pjm --data-dir data", "--source", "--dataset sample"):
        assert way_on in line
    assert not (tmp_path / "mlflow.db").exists()


def test_damaged_data_are_not_replaced_by_the_sample(tmp_path, refused):
    (tmp_path / "data" / "pjm").mkdir(parents=True)
    (tmp_path / "data" / "pjm" / "meta.json").write_text('{"format": 1}')
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--dataset", "auto")
    assert "damaged" in line
    assert "python -m pipelines prepare --dataset pjm" in line
    assert not (tmp_path / "mlflow.db").exists()
