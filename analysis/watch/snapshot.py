"""What a page shows: launches with their rows, seeds and trials, each with its state."""

from dataclasses import dataclass

# States of a line, the most urgent first.
STATES = STALE, RUNS, FAILED, KILLED, PRUNED, ENDED, WAITS = (
    "stale",
    "running",
    "failed",
    "killed",
    "pruned",
    "finished",
    "waiting",
)


@dataclass(frozen=True)
class Line:
    """A row with one seed, or a trial.

    Attributes:
        name: of its run.
        state: one of STATES.
        epoch: number of epochs done, None if none or not known.
        epochs: number of epochs in the end, None if it has none.
        metric: name of the metric shown, "" without one.
        value: its last value.
        history: its values so far, of a running one.
        left_s: seconds to the end of the training, None if not known.
        heard: when it last gave a sign of life, seconds since 1970, None if it has not begun.
        took_s: seconds from its begin to its end, of one that ended.
        note: why it is stale or has failed.
    """

    name: str
    state: str
    epoch: int | None = None
    epochs: int | None = None
    metric: str = ""
    value: float | None = None
    history: tuple[float, ...] = ()
    left_s: float | None = None
    heard: float | None = None
    took_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Trials:
    """Trials of a study, as far as this launch has run them.

    Attributes:
        done: number of those that ran to their end.
        running, pruned, failed: numbers of the others.
        total: number of trials that the study has in the end; 0 if not known.
        metric: what they are judged by.
        best: value of the best so far, None without one.
        winner: name of the best trial, "" if it is not one of this launch's.
    """

    done: int
    running: int
    pruned: int
    failed: int
    total: int
    metric: str
    best: float | None
    winner: str = ""


@dataclass(frozen=True)
class Launch:
    """A launch, or a run that belongs to none.

    Attributes:
        run_id: of its run.
        title: what it is, such as ``recurrent on sample``.
        state: RUNS, STALE, or how it ended.
        host: where it runs, "" if not known.
        began: seconds since 1970.
        ended: seconds since 1970, None while it is running.
        command: its command line, "" if not known.
        within: name of the larger launch that it is part of, or "".
        lines: its rows and seeds, and the trials that are running or have failed.
        trials: of a study, else None.
        note: why it is stale or has failed, or "".
        remedies: command lines that mend it.
        result: its best row so far, with its figure, or "".
    """

    run_id: str
    title: str
    state: str
    host: str
    began: float
    ended: float | None = None
    command: str = ""
    within: str = ""
    lines: tuple[Line, ...] = ()
    trials: Trials | None = None
    note: str = ""
    remedies: tuple[str, ...] = ()
    result: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The launches of one moment.

    Attributes:
        running: those with a run that says RUNNING, the stale ones last, else the newest first.
        ended: those that ended lately, the latest first.
        empty: whether nothing was ever logged on the server.
        address: of the server, without password.
        entry: the only one whose launches these are, "" for all.
    """

    running: tuple[Launch, ...] = ()
    ended: tuple[Launch, ...] = ()
    empty: bool = False
    address: str = ""
    entry: str = ""


@dataclass(frozen=True)
class Choice:
    """Which launches to show: of an entry (or "all"), begun at `since` (seconds since 1970) or later."""

    entry: str = "all"
    since: float = 0.0


ALL = Choice()
