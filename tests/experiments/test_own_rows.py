"""Rows of a user's own: what a file of them means, and what is said of one with faults."""

import json
from pathlib import Path

import pytest

from pipelines.errors import FaultsError, UserError
from pipelines.experiments import own_rows
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.ablation.rows import ABLATION, ClassifierSettings, resolve_classifier
from pipelines.experiments.base import read
from pipelines.experiments.pretrain.options import PretrainOptions
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.experiments.recurrent.rows import GROUPS, resolve


@pytest.fixture
def file(tmp_path):
    """A function that writes a file of rows and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def ablation(like: str):
    return resolve_classifier(like, "sample", "autograd", 1, 0.5)


def rows(file: str, entry: str = "ablation") -> dict[str, own_rows.OwnRow]:
    return dict(own_rows.read(file).of[entry].rows)


def test_a_row_has_the_settings_of_the_row_it_is_like_and_its_own(file):
    (row,) = rows(file('[ablation.mine]\nlike = "cnn"\nchannels = [32, 64]\nlr = 1')).values()
    own, cnn = row.settings(ablation), ablation("cnn")
    assert (own.row, own.like, own.changes) == ("mine", "cnn", "channels=32,64 lr=1")
    assert (own.channels, own.lr) == ((32, 64), 1)
    differing = {name for name in cnn.params() if cnn.params()[name] != own.params().get(name)}
    assert differing == {"row", "channels", "lr"}


def test_settings_are_all_that_a_plan_needs(file):
    (row,) = rows(file('[ablation.mine]\nlike = "cnn"\nhidden = []')).values()
    own = row.settings(ablation)
    assert read(ClassifierSettings, json.loads(json.dumps(own.params()))) == own


def test_a_row_may_be_like_another_row_of_the_file(file):
    text = '[ablation.second]\nlike = "first"\nlr = 0.5\n[ablation.first]\nlike = "mlp-2"\nlr = 0.1\nepochs = 3'
    second = rows(file(text))["second"].settings(ablation)
    assert (second.like, second.changes) == ("mlp-2", "lr=0.5 epochs=3")
    assert (second.lr, second.epochs, second.hidden) == (0.5, 3, ABLATION["mlp-2"].hidden)


def test_lists_make_a_grid_and_lists_of_lists_do_where_a_setting_is_a_list(file):
    path = file('[ablation.g]\nlike = "cnn"\nlr = [0.01, 1e-5]\nhidden = [[120, 84], []]\nchannels = [6, 16]')
    found = own_rows.read(path).of["ablation"]
    grid = {name: (row.settings(ablation).lr, row.settings(ablation).hidden) for name, row in found.rows.items()}
    assert grid == {
        "g-lr0.01-hidden120-84": (0.01, (120, 84)),
        "g-lr0.01-hidden-none": (0.01, ()),
        "g-lr1e-05-hidden120-84": (1e-5, (120, 84)),
        "g-lr1e-05-hidden-none": (1e-5, ()),
    }
    assert found.groups == {"g": tuple(grid)}
    assert AblationOptions(rows=path, variants="g,mlp-2").selected.rows == [*grid, "mlp-2"]


def test_a_grid_of_one_value_has_a_name_of_its_own_too(file):
    found = own_rows.read(file('[recurrent.one]\nlike = "gru-2"\nhidden = [8]\ncell = ["LSTM"]')).of["recurrent"]
    assert dict(found.groups) == {"one": ("one-hidden8-cell-lstm",)}


def test_the_default_means_the_rows_of_the_file_and_the_catalogues_can_be_named_beside(file):
    text = '[ablation.a]\nlike = "cnn"\n[ablation.b]\nlike = "cnn"\n[recurrent.c]\nlike = "gru-2"\n'
    path = file(text + '[pretrain.d]\nlike = "resnet20"')
    assert AblationOptions(rows=path).selected.rows == ["a", "b"]
    assert AblationOptions(rows=path, variants="cnn,b").selected.rows == ["cnn", "b"]
    assert PretrainOptions(rows=path).selected.rows == ["d"]
    assert RecurrentOptions(rows=path, models="baselines,c").selected.rows == [*GROUPS["baselines"], "c"]
    assert AblationOptions().selected.rows == list(ABLATION)
    assert PretrainOptions().selected.rows == ["resnet18"]


def test_a_file_without_rows_of_the_experiment_is_refused_unless_others_are_named(file):
    path = file('[recurrent.c]\nlike = "gru-2"')
    with pytest.raises(UserError, match=r"mine\.toml: no row of ablation is in it, but of recurrent$"):
        AblationOptions(rows=path)
    assert AblationOptions(rows=path, variants="cnn").selected.rows == ["cnn"]


def test_a_launch_that_is_continued_needs_no_file():
    assert AblationOptions(rows="gone.toml", variants="mine", resume="1" * 32).resume
    with pytest.raises(UserError, match=r"^rows=gone\.toml: No such file or directory; give a TOML file of rows$"):
        AblationOptions(rows="gone.toml")


def test_relative_paths_are_those_of_the_folder_the_user_is_in(file, monkeypatch, tmp_path):
    Path(file('[ablation.a]\nlike = "cnn"')).rename(tmp_path / "seen.toml")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setattr("pipelines.common.launcher.users_folder", lambda: tmp_path)
    assert AblationOptions(rows="seen.toml").selected.rows == ["a"]


# Each is a file's text, and what is said of it after its name.
FAULTS = [
    ('[ablaton.x]\nlike = "cnn"', "[ablaton] no experiment of that name takes rows; did you mean ablation? Known are "),
    ('[resnet.x]\nlike = "resnet18"', "[resnet] no experiment of that name takes rows; "),
    ("ablation = 1", "[ablation] no table; write tables such as [ablation.mine]"),
    ("[ablation]\nlr = 3", "[ablation] lr: is in no row; write it below a table such as [ablation.mine]"),
    ('[ablation.cnn]\nlike = "cnn"', "[ablation.cnn] cnn has a meaning already; give the row another name"),
    ('[recurrent.relative]\nlike = "gru-2"', "[recurrent.relative] relative has a meaning already"),
    ('[ablation.all]\nlike = "cnn"', "[ablation.all] all has a meaning already"),
    ('[ablation.tuned]\nlike = "cnn"', "[ablation.tuned] tuned has a meaning already"),
    ('[ablation.Big]\nlike = "cnn"', "[ablation.Big] a row's name has lower-case letters, digits, '.', '-' and '_'"),
    ('[ablation."a b"]\nlike = "cnn"', "[ablation.a b] a row's name has lower-case letters"),
    ("[ablation.x]\nlr = 1", "[ablation.x] like: is missing; name the row that it is like, such as cnn"),
    ("[ablation.x]\nlike = 3", "[ablation.x] like: is no name: 3; "),
    ('[ablation.x]\nlike = "cn"', "[ablation.x] like: unknown 'cn'; did you mean cnn? Known are cnn, mlp-2"),
    ('[ablation.x]\nlike = "x"', "[ablation.x] like: x is like x; name a row of the catalogue"),
    (
        '[ablation.x]\nlike = "g"\n[ablation.g]\nlike = "cnn"\nlr = [1, 2]',
        "[ablation.x] like: g is a grid; name one of its rows, such as g-lr1",
    ),
    ('[recurrent.x]\nlike = "linear-ar"\nlr = 1', "[recurrent.x] like: linear-ar is not trained"),
    ('[ablation.x]\nlike = "cnn"\nchanels = [3]', "[ablation.x] chanels: no setting of cnn; did you mean channels? "),
    ('[recurrent.x]\nlike = "gru-2"\nlags = [24]', "[recurrent.x] lags: no setting of gru-2; "),
    ('[ablation.x]\nlike = "cnn"\ndevice = "cpu"', "[ablation.x] device: it is the same for all rows of a launch"),
    ('[pretrain.x]\nlike = "resnet20"\nvalidation = 9', "[pretrain.x] validation: no setting of resnet20; "),
    ('[ablation.x]\nlike = "cnn"\nlr = -1', "[ablation.x] lr: input should be greater than or equal to 0, not -1"),
    ('[ablation.x]\nlike = "cnn"\nlr = nan', "[ablation.x] lr: input should be a finite number, not nan"),
    ('[ablation.x]\nlike = "cnn"\nlr = "1"', "[ablation.x] lr: input should be a valid number, not '1'"),
    ('[ablation.x]\nlike = "cnn"\nlr = [[0.1]]', "[ablation.x] lr: input should be a valid number, not [0.1]"),
    ('[ablation.x]\nlike = "mlp-2"\nhidden = 60', "[ablation.x] hidden: input should be a valid list, not 60"),
    ('[ablation.x]\nlike = "cnn"\nepochs = 0', "[ablation.x] epochs: input should be greater than or equal to 1"),
    ('[ablation.x]\nlike = "cnn"\nepochs = true', "[ablation.x] epochs: input should be a valid integer, not True"),
    ('[ablation.x]\nlike = "cnn"\nchannels = [1, "a"]', "[ablation.x] channels.1: input should be a valid integer"),
    ('[ablation.x]\nlike = "mlp-2"\nchannels = [6]', "[ablation.x] kernel: convolutions need one of 1 or more"),
    ('[recurrent.x]\nlike = "gru-2"\ndropout = 1', "[recurrent.x] dropout: input should be less than or equal to 0.99"),
    ('[recurrent.x]\nlike = "gru-2"\ncell = "gru"', "[recurrent.x] cell: input should be 'RNN', 'LSTM' or 'GRU', not"),
    ('[recurrent.x]\nlike = "gru-2"\nsegment = 16', "[recurrent.x] burn_in: 16 hours leave no target in a segment of "),
    (
        '[recurrent.x]\nlike = "gru-2"\nlookback = 9',
        "[recurrent.x] lookback: the networks of the forecasting report's form look",
    ),
    ('[recurrent.x]\nlike = "gru-relative"\nlags = [90]', "[recurrent.x] lags: 90 hours back are beyond the lookback"),
    ('[recurrent.x]\nlike = "gru-relative"\ncell = "MLP"', "[recurrent.x] segment: a perceptron is trained on single"),
    ('[recurrent.x]\nlike = "gru-relative"\nmembers = ["GRU"]', "[recurrent.x] members: they are the cells of cell="),
    ('[pretrain.x]\nlike = "resnet20"\nsides = [32, 16]', "[pretrain.x] sides: "),
    ('[pretrain.x]\nlike = "resnet20"\nsides = []', "[pretrain.x] sides: list should have at least 1 item"),
    ('[pretrain.x]\nlike = "resnet20"\nstem = "pool"', "[pretrain.x] stem: resnet20 has plain, not pool"),
    ('[ablation.x]\nlike = "cnn"\nlr = []', "[ablation.x] lr: no value is in the list"),
    ('[ablation.x]\nlike = "cnn"\nlr = [1, 1]', "[ablation.x] two rows of the grid would be called x-lr1; "),
    (
        f'[ablation.x]\nlike = "cnn"\nlr = {list(range(40))}\nepochs = {list(range(1, 41))}',
        "[ablation.x] a grid of 1600 rows, at most 1000",
    ),
    (
        '[ablation.x]\nlike = "cnn"\nlr = [1, 2]\n[ablation.x-lr1]\nlike = "cnn"',
        "[ablation.x-lr1] two rows are called x-lr1; give one of them another name",
    ),
    ("", "it has no rows; write tables such as [ablation.my-cnn]"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_a_fault_is_named_with_file_table_and_key(file, text, said):
    path = file(text)
    with pytest.raises(FaultsError) as raised:
        own_rows.read(path)
    (fault,) = raised.value.faults
    assert fault.startswith(f"{path}: {said}")
    assert str(raised.value) == fault


def test_the_rows_to_be_like_are_not_the_row_itself(file):
    path = file('[ablation.mine]\nlike = "cnnn"\n[ablation.other]\nlike = "cnn"')
    with pytest.raises(FaultsError) as raised:
        own_rows.read(path)
    known = str(raised.value).partition("Known are ")[2].split(", ")
    assert "other" in known
    assert "mine" not in known


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[ablation.x\n", r"^rows=.*: no TOML: .*at line 1, column 12"),
        (b"[ablation.x]\nlr = 1\nlr = 2\n", r"^rows=.*: no TOML: .*at line 3"),
        (b"# \xff", r"^rows=.*: no UTF-8 text at byte 2; give a TOML file of rows$"),
        (b"#" * (1 << 20) + b"#", r"^rows=.*: more than 1 MiB; "),
        (b"x = " + b"[" * 10_000, r"^rows=.*: no TOML: "),
        (b"x = " + b"9" * 5_000, r"^rows=.*: no TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, raw, said):
    path = tmp_path / "rows"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=said):
        own_rows.read(str(path))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^rows=.*: Is a directory; give a TOML file of rows$"):
        own_rows.read(str(tmp_path))


def test_all_faults_are_named_up_to_ten(file):
    names = [f"r{number}" for number in range(12)]
    path = file("".join(f'[ablation.{name}]\nlike = "cnn"\nlr = -1{name[1:]}\n' for name in names))
    with pytest.raises(FaultsError) as raised:
        own_rows.read(path)
    assert [fault.split()[1] for fault in raised.value.faults] == [f"[ablation.{name}]" for name in names[:10]]
    assert raised.value.summary == f"rows={path}: 12 faults, of which 2 are not named"


def test_the_command_line_has_a_line_for_each_fault_and_makes_no_run(file, capsys, at, tmp_path):
    from pipelines.__main__ import cli

    at(tmp_path, f"sqlite:///{tmp_path}/none.db")
    path = file('[ablation.a]\nlike = "cn"\n[recurrent.b]\nlike = "gru-2"\nhidden = 0')
    with pytest.raises(SystemExit) as end:
        cli(["ablation", "--dataset", "sample", "--rows", path])
    assert end.value.code == 2
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{path}: [ablation.a] like: unknown 'cn'")
    assert second.startswith(f"{path}: [recurrent.b] hidden: input should be greater than or equal to 1, not 0")
    assert last == f"error: rows={path}: 2 faults, named above"
    assert not list(tmp_path.glob("*.db"))


# What only PyTorch knows.


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('like = "cnn"\nactivation = "Relu"', {}, r"activation: unknown 'Relu'; did you mean ReLU\? Known are "),
        ('like = "cnn"\nactivation = "GLU"', {}, "no network can be built with it: "),
        ('like = "cnn"\nkernel = 20', {}, "no network can be built with it: a kernel of 20 does not fit into "),
        ('like = "mlp-2"\nactivation = "ELU"', {"backprop": "manual"}, "activation: unknown 'ELU'; "),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_any_run(file, tmp_path, text, options, said):
    from pipelines.experiments.ablation.experiment import plan

    path = file(f"[ablation.x]\n{text}")
    with pytest.raises(UserError, match=rf"^{path}: \[ablation\.x\] {said}"):
        plan(AblationOptions(dataset="sample", rows=path, **options), tmp_path)


def test_options_of_a_launch_replace_the_settings_of_all_rows(file, tmp_path):
    from pipelines.experiments.ablation.experiment import plan

    path = file('[ablation.mine]\nlike = "mlp-2"\nlr = 0.5\nepochs = 3')
    options = AblationOptions(dataset="sample", rows=path, variants="mine,mlp-3", lr=0.25, seeds=2)
    jobs = {job.name: job.settings for job in plan(options, tmp_path).jobs}
    assert {name: (each.lr, each.epochs, each.seed) for name, each in jobs.items()} == {
        "mine lr=0.25 seed0": (0.25, 3, 0),
        "mine lr=0.25 seed1": (0.25, 3, 1),
        "mlp-3 lr=0.25 seed0": (0.25, 10, 0),
        "mlp-3 lr=0.25 seed1": (0.25, 10, 1),
    }


def test_gradients_by_hand_are_of_those_rows_of_the_file_that_are_perceptrons(file, tmp_path):
    from pipelines.experiments.ablation.experiment import plan

    path = file('[ablation.conv]\nlike = "cnn"\n[ablation.dense]\nlike = "mlp-2"\nhidden = [9]')
    options = AblationOptions(dataset="sample", rows=path, backprop="manual")
    assert [job.name for job in plan(options, tmp_path).jobs] == ["dense-seed0"]
    with pytest.raises(UserError, match=r"conv has convolutions; give variants=mlp-2,"):
        plan(AblationOptions(dataset="sample", rows=path, backprop="manual", variants="conv,dense"), tmp_path)


def test_a_recurrent_row_has_its_settings_in_either_way_of_training(file, tmp_path):
    from pipelines.experiments.recurrent.experiment import plan

    path = file('[recurrent.mine]\nlike = "gru-2"\nhidden = 8')
    for training in ("dense", "window"):
        (job,) = plan(RecurrentOptions(dataset="sample", rows=path, training=training), tmp_path).jobs
        usual = resolve("gru-2", "sample", training, 0, 1.0)
        assert (job.name, job.settings.hidden, job.settings.training) == ("mine-seed0", 8, training)
        assert (job.settings.lr, job.settings.segment) == (usual.lr, usual.segment)


def test_a_pretraining_of_a_row_builds_the_network_of_the_row_it_is_like(file, tmp_path):
    from pipelines.experiments.pretrain.experiment import plan

    path = file('[pretrain.mine]\nlike = "resnet32"\nlr = 0.01')
    (job,) = plan(PretrainOptions(dataset="sample", rows=path), tmp_path).jobs
    assert (job.settings.row, job.settings.architecture, job.settings.lr) == ("mine", "resnet32", 0.01)
