"""What cannot be resumed, or only when that is said: finished, unknown, of other settings or code, worked on."""

import contextlib
import os
import signal

import pytest
from support.hosts import hosts
from support.launches import checkpoint_of, require_nothing_left, statuses, until
from support.place import Place
from support.warm import Forked

from pipelines.__main__ import cli
from pipelines.cli.declare import Options
from pipelines.errors import Interrupted
from pipelines.tracking import provenance

PARENT = "recurrent sample"
ROW = "gru-2-seed0"


@pytest.mark.slow
def test_a_finished_launch_is_not_resumed(alone, refused):
    before = alone.database.read_bytes()
    for name in (PARENT, ROW):
        line = refused(alone.folder, alone.uri, "recurrent", "--resume", alone.runs()[name].info.run_id)
        assert "nothing is left to do" in line
    assert alone.database.read_bytes() == before


@pytest.mark.fault(5)
def test_an_unknown_run_is_not_resumed(place, refused):
    line = refused(place.folder, place.uri, "recurrent", "--resume", "nonexistent")
    assert f"there is no run 'nonexistent' on {place.uri}" in line
    assert not place.runs()


def test_a_near_name_is_told(place, refused):
    place.client.create_run("0", run_name="gru-2-seed0")
    line = refused(place.folder, place.uri, "recurrent", "--resume", "gru2-seed0")
    assert line.endswith("did you mean gru-2-seed0?")


# Other settings, other code.


@pytest.fixture
def begun(place, at, settled, monkeypatch) -> list:
    """What a launch, stopped before its first row, and those that continue it give to `fan_out`."""
    jobs = []

    def stopped(parent, entry, given, *others, **named):
        jobs.append(given)
        raise Interrupted(signal.SIGTERM)

    at(place.folder, place.uri)
    monkeypatch.setattr("pipelines.launching.launch.fan_out", stopped)
    assert command("--dataset", "sample", "--models", "gru-2", "--epochs", "6", "--hidden", "8") == 143
    assert statuses(place) == {PARENT: "KILLED"}
    return jobs


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli(["recurrent", *arguments])
    return end.value.code


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("given", "then"),
    [
        (("--lr", "1"), "lr was the row's own value in that launch, 1.0 is given"),
        (("--epochs", "7"), "epochs was 6 in that launch, 7 is given"),
        (("--hidden", "16"), "hidden was 8 in that launch, 16 is given"),
        (("--models", "lstm-2"), "models was gru-2 in that launch, lstm-2 is given"),
        (("--training", "window"), "training was dense in that launch, window is given"),
        (("--seeds", "3"), "seeds was 1 in that launch, 3 is given"),
        (("--dropout", "0.5"), "dropout was the row's own value in that launch, 0.5 is given"),
    ],
)
def test_other_settings_are_named_before_a_launch_goes_on(place, begun, refused, given, then):
    line = refused(place.folder, place.uri, "recurrent", "--resume", place.runs()[PARENT].info.run_id, *given)
    assert then in line
    assert "--force true" in line
    assert len(begun) == 1


@pytest.mark.fault(11)
@pytest.mark.parametrize("logged", [Options.values, lambda options: {"lr": "0", "epochs": "6", "hidden": "8"}])
def test_other_settings_than_those_an_earlier_version_or_mlflow_logged_are_named(
    place, request, refused, monkeypatch, logged
):
    monkeypatch.setattr(Options, "logged", logged)
    request.getfixturevalue("begun")
    run = place.runs()[PARENT].info.run_id
    given = ("--epochs", "6", "--hidden", "8")
    line = refused(place.folder, place.uri, "recurrent", "--resume", run, *given, "--lr", "1")
    assert f"resume={run}: lr was 0.0 in that launch, 1.0 is given; it would" in line


@pytest.mark.fault(11)
def test_the_settings_of_the_launch_itself_may_be_given(place, begun):
    """As they were typed, and as what they stood for."""
    rate, device = (getattr(begun[0][0].settings, name) for name in ("lr", "device"))
    assert rate > 0
    given = ("--dataset", "sample", "--models", "gru-2", "--epochs", "6", "--lr", str(rate), "--device", device)
    assert command("--resume", place.runs()[PARENT].info.run_id, *given, "--jobs", "1") == 143
    assert begun[1] == begun[0]


def finished_launch(place) -> str:
    """A launch of the same name, which has finished."""
    name = place.runs()[PARENT].info.run_name
    run = place.client.create_run("0", run_name=name, tags={"entry": "recurrent"}).info.run_id
    place.client.set_terminated(run)
    return run


@pytest.mark.parametrize("given", [slice(6), slice(31), None])
def test_a_launch_is_resumed_by_its_first_digits_or_name_and_recorded_by_its_id(place, begun, monkeypatch, given):
    info = place.runs()[PARENT].info
    run = info.run_id
    finished_launch(place)
    tags = {"mlflow.project.entryPoint": "recurrent"}
    launched = place.client.create_run("0", run_name="launcher", tags=tags).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", launched)
    assert command("--resume", info.run_name if given is None else run[given]) == 143
    assert begun[1] == begun[0]
    assert place.client.get_run(launched).data.tags["command"] == f"python -m pipelines recurrent --resume {run}"


def test_of_two_stopped_launches_none_is_guessed(place, begun, refused):
    second, name = finished_launch(place), place.runs()[PARENT].info.run_name
    place.client.set_terminated(second, "KILLED")
    line = refused(place.folder, place.uri, "recurrent", "--resume", name)
    assert all(f"{run.info.run_id[:8]} ({name}, " in line for run in place.client.search_runs(["0", "1"]))
    assert len(begun) == 1


@pytest.mark.fault(11)
def test_forced_a_launch_goes_on_with_its_own_settings(place, begun):
    assert command("--resume", place.runs()[PARENT].info.run_id, "--lr", "1", "--force", "true") == 143
    assert begun[1] == begun[0]


@pytest.mark.fault(11)
def test_other_code_is_named_before_a_launch_goes_on_and_recorded_if_it_does(place, begun, refused, monkeypatch):
    before = place.runs()[PARENT]
    now = {"code_digest": "1" * 16, "mlflow.source.git.commit": "f" * 40, "mlflow.source.git.dirty": "true"}
    monkeypatch.setattr(provenance, "code_tags", lambda: now)
    line = refused(place.folder, place.uri, "recurrent", "--resume", before.info.run_id)
    assert f"now it is that of {'f' * 12} with changes" in line
    assert "--force true" in line
    assert place.runs()[PARENT].data.tags == before.data.tags
    assert command("--resume", before.info.run_id, "--force", "true") == 143
    tags = place.runs()[PARENT].data.tags
    assert tags["resumed_commit"] == "f" * 40
    assert tags["resumed_code_digest"] == "1" * 16
    for own in ("code_digest", "mlflow.source.git.commit"):
        assert tags.get(own) == before.data.tags.get(own)
    # It is the code of this launch now.
    assert command("--resume", before.info.run_id) == 143


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("commit", "dirty", "same"), [("f" * 40, "false", True), ("f" * 40, "true", False), ("e" * 40, "false", False)]
)
def test_code_of_before_it_had_a_digest_is_known_by_its_commit(place, begun, refused, monkeypatch, commit, dirty, same):
    run_id = place.runs()[PARENT].info.run_id
    place.client.delete_tag(run_id, "code_digest")
    place.client.set_tag(run_id, "mlflow.source.git.commit", commit)
    place.client.set_tag(run_id, "mlflow.source.git.dirty", dirty)
    now = {"code_digest": "1" * 16, "mlflow.source.git.commit": "f" * 40, "mlflow.source.git.dirty": "false"}
    monkeypatch.setattr(provenance, "code_tags", lambda: now)
    if same:
        assert command("--resume", run_id) == 143
    else:
        assert "the code was that of" in refused(place.folder, place.uri, "recurrent", "--resume", run_id)


def test_the_digest_of_the_code_follows_what_is_there(tmp_path, monkeypatch):
    for name in ("pipelines/a.py", "pipelines/data/b.py", "nnmodels/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    digests = [provenance.digest.__wrapped__()]
    (tmp_path / "pipelines" / "data" / "b.py").write_text("x = 2\n")
    digests.append(provenance.digest.__wrapped__())
    (tmp_path / "nnmodels" / "c.py").rename(tmp_path / "nnmodels" / "d.py")
    digests.append(provenance.digest.__wrapped__())
    (tmp_path / "README.md").write_text("a note")
    assert len(set(digests)) == 3
    assert provenance.digest.__wrapped__() == digests[2]


@pytest.mark.slow
def test_a_launch_that_was_stopped_before_its_summary_gets_it(place, at, settled, monkeypatch):
    def stopped(experiment, parent):
        raise Interrupted(signal.SIGTERM)

    at(place.folder, place.uri)
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.launching.launch.summarise", stopped)
        assert command("--dataset", "sample", "--models", "persistence") == 143
    assert statuses(place) == {PARENT: "KILLED", "persistence": "FINISHED"}
    run_id = place.runs()[PARENT].info.run_id
    cli.main(["recurrent", "--resume", run_id])
    assert statuses(place) == {PARENT: "FINISHED", "persistence": "FINISHED"}
    assert "persistence" in place.artifact(place.runs()[PARENT], "tables/comparison.csv").read_text()
    assert command("--resume", run_id) == 2


# At work elsewhere.

# So that a silent claim is soon void.
HURRIED = {
    f"pipelines.tracking.claim.{name}": value for name, value in {"BEAT_S": 0.5, "SILENT_S": 8, "SETTLE_S": 3}.items()
}


@pytest.fixture
def on_host(place):
    """A function that begins a command on a host of that name, in a folder of its own: its process and the folder."""
    hosts = []

    def begin(name: str, *arguments: str) -> tuple[Forked, Place]:
        host = Place(place.folder / name, MLFLOW_TRACKING_URI=place.uri)
        host.folder.mkdir()
        host.alter(HURRIED)
        hosts.append(host)
        return host.fork(name, *arguments, module="support.on_host"), host

    yield begin
    for host in hosts:
        host.end()


@hosts
@pytest.mark.fault(39)
@pytest.mark.slow
def test_of_two_resumes_from_two_hosts_one_goes_on(place, on_host, small):
    """Of a launch on a third host, which has ended without a word."""
    process, first = on_host("first", *small, "--models", "gru-2")
    until(checkpoint_of(place, ROW), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(first)
    run_id = place.runs()[PARENT].info.run_id
    both = {name: on_host(name, "recurrent", "--resume", run_id) for name in ("second", "third")}
    for _, host in both.values():
        (host.folder / "go").touch()
    codes = {name: process.wait(500) for name, (process, _) in both.items()}
    said = {name: host.stderr for name, (_, host) in both.items()}
    assert sorted(codes.values()) == [0, 2], said
    refused, resumed = sorted(both, key=codes.get, reverse=True)
    assert f"of {resumed} is at work on it" in said[refused]
    assert statuses(place) == {PARENT: "FINISHED", ROW: "FINISHED"}
    row = place.runs()[ROW]
    assert row.data.tags["host"] == resumed
    assert [step for step, _ in place.history(row, "train_loss")] == [1, 2, 3, 4, 5, 6]
    points = place.client.get_metric_history(row.info.run_id, "train_loss")
    assert len(points) == 6


@hosts
@pytest.mark.fault(39)
@pytest.mark.slow
def test_a_launch_at_work_on_one_host_is_not_resumed_from_another(place, on_host, small):
    process, first = on_host("first", *small, "--models", "gru-2")
    until(checkpoint_of(place, ROW), process)
    other, second = on_host("second", "recurrent", "--resume", place.runs()[PARENT].info.run_id)
    assert other.wait(300) == 2
    assert "of first is at work on it: wait, or end it first" in second.stderr
    assert process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    require_nothing_left(first)
