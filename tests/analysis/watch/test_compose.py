"""Snapshots: launches and the states of their rows, from what the server has and what is seen of their processes."""

import dataclasses

import pytest

from analysis.watch.compose import compose
from analysis.watch.seen import Beat, Found, Point, Seen
from analysis.watch.snapshot import ALL, ENDED, FAILED, KILLED, PRUNED, RUNS, STALE, WAITS, Choice
from pipelines import names
from pipelines.processes.liveness import ALIVE, ELSEWHERE, GONE, UNKNOWN, Fate

NOW = 1_780_000_000.0
FATES = {
    "1": Fate(ALIVE),
    "2": Fate(GONE, "process 2 of vm is gone"),
    "3": Fate(ELSEWHERE, "other.example"),
}


def judge(process) -> Fate:
    return FATES[str(process.pid)] if process else Fate(UNKNOWN, "no tags")


def seen(run_id, status="RUNNING", pid="1", parent="", age=100.0, ended=None, params=None, latest=None, **tags) -> Seen:
    """A run that began `age` seconds ago; `latest` are (step, value, seconds ago) of metrics."""
    process = {names.HOST: "vm", names.PID: pid, names.PROCESS_START: "1.0"} if pid else {}
    return Seen(
        run_id=run_id,
        name=run_id,
        status=status,
        began=NOW - age,
        ended=None if status == "RUNNING" else NOW - (ended or 0),
        tags={**process, **({names.PARENT_RUN: parent} if parent else {}), **tags},
        params=params or {},
        latest={name: Point(step, value, NOW - ago) for name, (step, value, ago) in (latest or {}).items()},
    )


def launch(run_id="launch", entry="recurrent", **kwargs) -> Seen:
    return seen(run_id, **{"entry": entry, "dataset": "sample", "command": f"python -m pipelines {entry}", **kwargs})


def row(run_id, parent="launch", row="gru-2", entry="recurrent", **kwargs) -> Seen:
    return seen(run_id, parent=parent, **{"row": row, "entry": entry, "dataset": "sample", "age": 90.0, **kwargs})


def composed(*runs, choice=ALL, **kwargs):
    return compose(Found(tuple(runs), **kwargs), NOW, choice, judge)


def only(*runs, **kwargs):
    """The one launch of these runs, which is running."""
    (found,) = composed(*runs, **kwargs).running
    return found


def test_rows_are_in_the_order_of_the_plan_and_those_not_begun_wait():
    found = only(
        launch(),
        row(
            "gru-2-seed1", status="FINISHED", ended=5, latest={"smape_report": (0, 0.6, 5), "smape_curve": (9, 2.4, 9)}
        ),
        row("lstm-2-seed0", age=40, params={"epochs": "60"}, latest={"train_loss": (3, 0.5, 2)}),
        row("gru-2-seed0", age=80, status="FAILED", ended=30, failure="DivergedError: nan"),
        row("lstm-2-seed1", age=30, status="KILLED", ended=20),
        plans={"launch": ("gru-2-seed0", "gru-2-seed1", "lstm-2-seed0", "lstm-2-seed1", "rnn-2-seed0")},
    )
    assert [(line.name, line.state) for line in found.lines] == [
        ("gru-2-seed0", FAILED),
        ("gru-2-seed1", ENDED),
        ("lstm-2-seed0", RUNS),
        ("lstm-2-seed1", KILLED),
        ("rnn-2-seed0", WAITS),
    ]
    failed, finished, runs = found.lines[:3]
    assert failed.note == "DivergedError: nan"
    assert (finished.metric, finished.value, finished.took_s) == ("smape_report", 0.6, 85)
    assert (runs.epoch, runs.epochs, runs.metric, runs.heard) == (3, 60, "train_loss", NOW - 2)
    assert (found.title, found.state, found.remedies) == ("recurrent on sample", RUNS, ())


def test_history_and_time_left_come_from_the_points():
    points = tuple(Point(step, 1 / step, NOW - 50 + 10 * step) for step in (1, 2, 3, 4))
    run = row("a", params={"epochs": "10"}, latest={"train_loss": (4, 0.25, 10)})
    (line,) = only(launch(), run, histories={("a", "train_loss"): points}).lines
    assert line.history == (1.0, 0.5, 1 / 3, 0.25)
    assert line.left_s == pytest.approx(6 * 10 - 10)


def test_a_launch_whose_process_is_gone_is_stale_and_both_commands_mend_it():
    found = only(launch(pid="2"), row("a", pid="2"), row("b", status="FINISHED", ended=3))
    assert (found.state, found.note) == (STALE, "process 2 of vm is gone")
    assert found.remedies == ("python -m analysis sweep", "python -m pipelines recurrent --resume launch")
    assert [line.state for line in found.lines] == [STALE, ENDED]


def test_a_study_goes_on_with_its_own_command_and_other_launches_with_none():
    study = only(launch(entry="tune", pid="2", study="s"))
    assert study.remedies == ("python -m analysis sweep", "python -m pipelines tune")
    assert only(launch(entry="resnet", pid="2")).remedies == ("python -m analysis sweep",)


def test_a_row_that_is_gone_while_its_launch_lives_is_left_to_the_launch():
    found = only(launch(), row("a", pid="2"), row("b"))
    assert [line.state for line in found.lines] == [STALE, RUNS]
    assert (found.state, found.remedies) == (RUNS, ())


# Heartbeat of a launch on another host, seconds ago: first read, changed; and what it is taken for.
BEATS = {
    "just read": (5, None, RUNS),
    "changed lately": (500, 9, RUNS),
    "never changed for long": (61, None, STALE),
    "changed long ago": (500, 75, STALE),
}


@pytest.mark.parametrize(("first", "changed", "state"), BEATS.values(), ids=BEATS)
def test_the_heartbeat_tells_of_a_launch_on_another_host(first, changed, state):
    beat = Beat(NOW - first, None if changed is None else NOW - changed)
    found = only(launch(pid="3"), row("a", pid="3"), beats={"launch": beat})
    assert (found.state, found.lines[0].state) == (state, state)
    if state == STALE:
        assert found.note == f"no heartbeat for {changed or first} s"
        # What cannot be seen from here is not swept from here.
        assert found.remedies == ("python -m pipelines recurrent --resume launch",)


@pytest.mark.parametrize(("ago", "state"), [(60, RUNS), (3500, RUNS), (3700, STALE)])
def test_without_a_heartbeat_an_hour_of_silence_is_long(ago, state):
    found = only(seen("theirs", pid="", age=9000, latest={"loss": (3, 0.5, ago)}))
    assert (found.title, found.state, found.lines[0].state) == ("theirs", state, state)


def test_rows_that_still_say_running_after_their_launch_ended_are_shown():
    found = only(launch(status="FAILED", ended=9, failure="it broke"), row("a", pid="2"))
    assert (found.state, found.ended) == (STALE, None)
    assert found.note == "it is FAILED, but some of its runs still say RUNNING"
    assert "python -m analysis sweep" in found.remedies


def test_launches_of_a_larger_one_are_launches_of_their_own():
    shown = composed(
        launch("main", "main", preset="demo"), launch("inner", parent="main", age=50), row("a", parent="inner")
    )
    assert [(each.title, each.within, len(each.lines)) for each in shown.running] == [
        ("recurrent on sample", "main", 1),
        ("main demo", "", 0),
    ]


def test_what_mlflow_run_has_only_just_begun_is_a_launch():
    found = only(seen("bold-fox-1", pid="", **{"mlflow.project.entryPoint": "recurrent"}))
    assert (found.title, found.lines) == ("recurrent", ())


def test_a_row_without_its_launch_stands_by_itself():
    found = only(row("a", parent="deleted"))
    assert [line.name for line in found.lines] == ["a"]


def trial(number, status="FINISHED", objective=None, **tags) -> Seen:
    latest = {"objective": (0, objective, 5)} if objective is not None else {}
    tags = {"entry": "tune", "trial": str(number), "parent": "launch", "latest": latest, **tags}
    return seen(f"trial-{number} lr=0.01", status, **tags)


def test_a_study_counts_its_trials():
    params = {"study": "'ablation'", "n_trials": "20"}
    runs = (
        launch(entry="tune", study="ablation-sample", params=params, latest={"best_val_accuracy": (2, 70.0, 5)}),
        trial(0, objective=60.0),
        trial(1, objective=70.0),
        trial(2, "KILLED", pruned="3"),
        trial(3, "FAILED", failure="why"),
        trial(4, "RUNNING"),
    )
    found = only(*runs)
    assert found.title == "tune ablation-sample"
    trials = found.trials
    assert (trials.done, trials.running, trials.pruned, trials.failed, trials.total) == (2, 1, 1, 1, 20)
    assert (trials.metric, trials.best, trials.winner) == ("val_accuracy", 70.0, "trial-1")
    assert [line.name for line in found.lines] == ["trial-3 lr=0.01", "trial-4 lr=0.01"]
    earlier = dataclasses.replace(runs[0], latest={"best_val_accuracy": Point(9, 75.0, NOW)})
    trials = only(earlier, *runs[1:]).trials
    assert (trials.best, trials.winner) == (75.0, "")
    assert PRUNED not in {line.state for line in found.lines}


def test_a_finalist_is_a_line_of_its_study_and_no_trial_of_it():
    tags = {"entry": "tune", "finalist": "1", "parent": "launch", "latest": {"val_accuracy": (9, 80.0, 5)}}
    done = seen("finalist-1 lr=0.02", "FINISHED", **tags)
    params = {"study": "ablation", "n_trials": "1"}
    found = only(launch(entry="tune", study="ablation-sample", params=params), trial(1, objective=70.0), done)
    assert [(line.name, line.state) for line in found.lines] == [("finalist-1 lr=0.02", ENDED)]
    assert (found.trials.done, found.trials.best) == (1, 70.0)


def test_the_lowest_error_is_the_best_trial_of_forecasters():
    head = launch(entry="tune", params={"study": "recurrent", "n_trials": "2"})
    trials = only(head, trial(0, objective=3.0), trial(1, objective=2.0)).trials
    assert (trials.metric, trials.best, trials.winner) == ("val_smape", 2.0, "trial-1")


def test_what_ended_has_the_best_row_for_its_result():
    def finished(name, of, value):
        return row(name, row=of, status="FINISHED", ended=9, latest={"smape_report": (0, value, 9)})

    rows = [finished("a", "gru-2", 0.5), finished("b", "gru-2", 0.7), finished("c", "lstm-2", 0.55)]
    snapshot = composed(launch(status="FINISHED", ended=8), *rows, launch("later", status="KILLED", ended=2))
    assert snapshot.running == ()
    assert [(each.run_id, each.state) for each in snapshot.ended] == [("later", KILLED), ("launch", ENDED)]
    assert snapshot.ended[1].result == "best of 2 rows: lstm-2, smape_report 0.55"
    of_images = row("d", row="cnn", entry="ablation", status="FINISHED", latest={"test_accuracy": (9, 60.0, 9)})
    better = row("e", row="mlp-2", entry="ablation", status="FINISHED", latest={"test_accuracy": (9, 70.0, 9)})
    (ablation,) = composed(launch(entry="ablation", status="FINISHED"), of_images, better).ended
    assert ablation.result == "best of 2 rows: mlp-2, test_accuracy 70"


def test_only_the_chosen_launches_are_shown():
    runs = (launch(), launch("other", "ablation"), launch("old", age=5000))
    assert {each.run_id for each in composed(*runs, choice=Choice("recurrent")).running} == {"launch", "old"}
    assert {each.run_id for each in composed(*runs, choice=Choice(since=NOW - 200)).running} == {"launch", "other"}


def test_those_that_run_come_before_the_stale_ones():
    runs = (launch("stale", pid="2", age=1), launch("older", age=50), launch("newer", age=20))
    assert [each.run_id for each in composed(*runs).running] == ["newer", "older", "stale"]
