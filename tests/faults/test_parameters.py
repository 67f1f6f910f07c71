"""A bad parameter, or data that are not there: one line on stderr, exit code 2, and nothing is left behind."""

import click
import pytest
import torch
from click.testing import CliRunner
from support.launches import complaint, without_progress
from support.properties import OPTIONS

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli as pipelines
from pipelines.cli.seeds import Seeds
from pipelines.cli.types import Device, Folder, Jobs, Sides
from pipelines.common.choices import Finite, Names, Place

COMMANDS = [(group, name) for group in (pipelines, analysis) for name in sorted(group.commands)]
NO_NUMBERS = ["", "abc", "1.5", "1e3", "nan", "9" * 5000]
MUCH_TOO_LARGE = str(10**30)


def bad_values(option: click.Option) -> list[str]:
    """What an option must refuse, by its kind; nothing where any text may be meant."""
    kind = option.type
    if isinstance(kind, click.IntRange):
        beyond = [MUCH_TOO_LARGE, str(kind.max + 1)] if kind.max is not None else []
        return [*NO_NUMBERS, str(kind.min - 1), "-7", *beyond]
    if isinstance(kind, click.FloatRange):
        return ["", "abc", "1,5", repr(kind.min - 0.1)]
    if isinstance(kind, Finite):
        below = [repr(kind.low - 0.5)] if kind.low - 0.5 != kind.own else []
        above = [repr(kind.high + 0.5)] if kind.high < float("inf") else []
        return ["", "abc", "nan", "inf", "-inf", "1e999", "1,5", *below, *above, *(["0"] if kind.low_open else [])]
    if isinstance(kind, click.Choice):
        return ["", "foo", kind.choices[0] + "x", kind.choices[0].upper()]
    if isinstance(kind, Jobs | Seeds):
        return [*NO_NUMBERS, "0", "-1", "AUTO", MUCH_TOO_LARGE]
    if isinstance(kind, Device):
        return ["", "tpu", "cuda:x", "cuda:-1", "cpu:", "CPU"]
    if isinstance(kind, Sides):
        return ["16", "32,16", "8,8,32", "16,x,32", "4,32", "16,64", "9" * 5000]
    if isinstance(kind, Folder):
        return ["x" * 300, "mlflow.txt/below"]
    if kind is click.BOOL:
        return ["maybe", "2", "yess"]
    return []


def ended(group: click.Group, arguments: list[str]) -> tuple[int, str]:
    """The exit code and stderr of a command line, within this process."""
    result = CliRunner().invoke(group, arguments, prog_name="it")
    return result.exit_code, result.stderr


@pytest.fixture
def empty(tmp_path, at):
    """A folder with a file, and no database: it stays so."""
    at(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.txt").touch()
    yield
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.txt"]


def test_every_kind_of_option_has_bad_values():
    """But texts, which mean names, files, filters: what they must be stands beside what reads them."""
    texts = (type(click.STRING), Names, Place)
    unknown = [
        (name, option.name) for _, name, option in OPTIONS if bool(bad_values(option)) == isinstance(option.type, texts)
    ]
    assert unknown == []


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("group", "name", "option"), OPTIONS, ids=[f"{name}-{option.name}" for _, name, option in OPTIONS]
)
def test_a_bad_value_is_refused_before_anything_is_made(empty, group, name, option):
    arguments = ["x" for each in group.commands[name].params if isinstance(each, click.Argument)]
    for value in bad_values(option):
        code, told = ended(group, [name, f"{option.opts[0]}={value}", *arguments])
        assert code == 2, (value, told)
        assert option.opts[0] in told
        assert "Traceback" not in told
        assert told.startswith("error: ")
        assert told.count("\n") == 1


@pytest.mark.fault(5)
@pytest.mark.parametrize(("group", "name"), COMMANDS, ids=[name for _, name in COMMANDS])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--learning-rate=1"], "--learning-rate"), (["--lr-=1"], "--lr-"), (["one", "two", "three"], "three")],
    ids=["unknown", "misspelt", "extra"],
)
def test_an_unknown_option_is_refused_before_anything_is_made(empty, group, name, arguments, named):
    code, told = ended(group, [name, *arguments])
    assert code == 2, told
    assert named in told


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("group", "name", "option"), OPTIONS, ids=[f"{name}-{option.name}" for _, name, option in OPTIONS]
)
def test_an_option_without_a_value_is_refused(empty, group, name, option):
    code, told = ended(group, [name, option.opts[0]])
    assert code == 2, told
    assert option.opts[0] in told


@pytest.mark.fault(5)
@pytest.mark.parametrize("group", [pipelines, analysis], ids=["pipelines", "analysis"])
def test_an_unknown_command_is_refused(empty, group):
    code, told = ended(group, ["recurent"])
    assert code == 2
    assert "recurent" in told


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("ablation --variants mlp-9", "unknown 'mlp-9'; did you mean mlp-5? Known are all, cnn"),
        ("ablation --backprop manual --variants cnn", "convolutions"),
        ("pretrain --models resnet9", "unknown 'resnet9'; did you mean resnet56? Known are all, resnet18"),
        ("pretrain --models ,", "no name is given"),
        ("resnet --models resnet9", "unknown 'resnet9'; did you mean resnet56? Known are all, resnet18"),
        ("tune --space depth,colour", "unknown 'colour'"),
        ("tune --study recurrent --dataset cifar10", "dataset cifar10 holds images, not hourly load"),
        ("prepare --source here", "belongs to one data set"),
    ],
)
def test_names_that_nothing_has_are_refused(empty, command, what):
    code, told = ended(pipelines, command.split())
    assert code == 2
    assert what in told
    assert told.count("error: ") == 1
    assert told.splitlines()[-1].startswith("error: ")


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--models", "gru-9"), "unknown 'gru-9'; did you mean gru-3? Known are all, report"),
        (("--models", ","), "no name is given"),
        (("--lr", "abc"), "'abc' is not a number"),
        (("--lr", "-1"), "--lr"),
        (("--lr", "nan"), "--lr"),
        (("--fraction", "0"), "--fraction"),
        (("--fraction", "2"), "--fraction"),
        (("--models", "gru-2", "--fraction", "0.01"), "give more data or training=window"),
        (("--seeds", "0"), "--seeds"),
        (("--jobs", "0"), "--jobs"),
        (("--training", "foo"), "unknown 'foo'; known are dense, window"),
        (("--dataset", "foo"), "'foo' of hourly load; known are pjm, sample"),
        (("--device", "tpu"), "none of auto, cpu, cuda"),
        (("--device", "cuda"), "device=cuda is not available on this machine"),
        (("--resume", "nonexistent"), "there is no database"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, refused, arguments, what):
    if arguments == ("--device", "cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert what in refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "recurrent", "--dataset", "sample", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.fault(5)
@pytest.mark.medium
def test_bad_input_as_a_command(place, small):
    place.database.unlink()
    assert place.launch(*small, "--models", "gru-9") == 2
    assert [complaint(place)] == without_progress(place.stderr)
    assert not place.database.exists()


@pytest.mark.medium
def test_data_that_cannot_be_had(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "recurrent", "--dataset", "pjm")
    for way_on in ("python -m pipelines prepare --dataset pjm", "--source", "--dataset sample"):
        assert way_on in line
    assert not (tmp_path / "mlflow.db").exists()


def test_damaged_data_are_not_replaced_by_the_sample(tmp_path, refused):
    (tmp_path / "data" / "pjm").mkdir(parents=True)
    (tmp_path / "data" / "pjm" / "meta.json").write_text('{"format": 1}')
    line = refused(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "recurrent", "--dataset", "auto")
    assert "damaged" in line
    assert "python -m pipelines prepare --dataset pjm" in line
    assert not (tmp_path / "mlflow.db").exists()
