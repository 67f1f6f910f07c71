"""Makes what a page shows of what was read."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from analysis import resuming
from analysis.entries import tune
from analysis.entries.index import VIEWS
from analysis.watch import progress
from analysis.watch.seen import FINISHED, RUNNING, Found, Seen
from analysis.watch.snapshot import (
    ALL,
    ENDED,
    FAILED,
    KILLED,
    PRUNED,
    RUNS,
    STALE,
    WAITS,
    Choice,
    Launch,
    Line,
    Snapshot,
    Trials,
)
from pipelines import names
from pipelines.common.command import hint
from pipelines.experiments.index import STUDIED, search_of
from pipelines.processes.identity import Identity
from pipelines.processes.liveness import ALIVE, GONE, SILENT_S, Fate, fate

_ENDS = {FINISHED: ENDED, "FAILED": FAILED, "KILLED": KILLED, "SCHEDULED": WAITS}

# A run whose process cannot be seen and has no heartbeat is stale after so many seconds without a new figure.
_QUIET_S = 3600

Judge = Callable[[Identity | None], Fate]


def compose(found: Found, now: float, choice: Choice = ALL, judge: Judge = fate) -> Snapshot:
    """The launches of what was read.

    Args:
        found: as read.
        now: seconds since 1970.
        choice: which launches to show.
        judge: gives the state of a process.
    """
    runs = {run.run_id: run for run in found.runs}
    members: dict[str, list[Seen]] = defaultdict(list)
    for run in sorted(found.runs, key=lambda run: run.began):
        if run.is_launch:
            members[run.run_id]
        else:
            parent = run.tags.get(names.PARENT_RUN, "")
            members[parent if parent in runs else run.run_id].append(run)
    launches = []
    for run_id, lines in members.items():
        head = runs[run_id]
        within = runs.get(head.tags.get(names.PARENT_RUN, ""))
        shown = choice.entry in ("all", head.entry, within.entry if within else "")
        if shown and head.began >= choice.since:
            launches.append(_launch(head, within, lines, found, now, judge))
    running = [each for each in launches if each.ended is None]
    running.sort(key=lambda each: (each.state == STALE, -each.began))
    ended = [each for each in launches if each.ended is not None]
    ended.sort(key=lambda each: -(each.ended or 0))
    entry = "" if choice.entry == ALL.entry else choice.entry
    return Snapshot(tuple(running), tuple(ended), found.empty, found.address, entry)


def _launch(head: Seen, within: Seen | None, members: Sequence[Seen], found: Found, now: float, judge: Judge) -> Launch:
    why = _trouble(head, head, found, now, judge)
    lines = {run.run_id: _line(run, head, found, now, judge, bool(why)) for run in members}
    running = [run for run in (head, *members) if run.status == RUNNING]
    if not why and running and not any(line.state == RUNS for line in lines.values()) and head.status != RUNNING:
        why = f"it is {head.status}, but some of its runs still say RUNNING"
    state = _ENDS.get(head.status, RUNS) if not running else STALE if why else RUNS
    return Launch(
        run_id=head.run_id,
        title=_title(head),
        state=state,
        host=head.tags.get(names.HOST, ""),
        began=head.began,
        ended=None if running else head.ended,
        command=head.tags.get(names.COMMAND, ""),
        within=within.name if within else "",
        lines=_ordered(members, lines, found.plans.get(head.run_id, ())),
        trials=_trials(head, members) if head.entry == tune.NAME else None,
        note=why or head.tags.get(names.FAILURE, ""),
        remedies=tuple(_remedies(head, running, judge)) if state in (STALE, FAILED, KILLED) else (),
        result=_result(members),
    )


def _ordered(members: Sequence[Seen], lines: Mapping[str, Line], plan: Sequence[str]) -> tuple[Line, ...]:
    """The lines of a launch in the order of its plan, those that wait among them; without the trials that ended well.

    Args:
        members: runs of the launch, the oldest first.
        lines: of each of them, by its run.
        plan: names of the rows and seeds.
    """
    order = {name: place for place, name in enumerate(plan)}
    shown = [
        lines[run.run_id]
        for run in members
        if names.TRIAL not in run.tags or lines[run.run_id].state in (RUNS, STALE, FAILED)
    ]
    begun = {run.name for run in members}
    waiting = [Line(name, WAITS) for name in plan if name not in begun]
    return tuple(sorted([*shown, *waiting], key=lambda line: order.get(line.name, -1)))


def _title(head: Seen) -> str:
    entry, dataset = head.entry, head.tags.get(names.DATASET)
    if entry == tune.NAME and names.STUDY in head.tags:
        return f"{entry} {head.tags[names.STUDY]}"
    if head.tags.get(names.PRESET):
        return f"{entry} {head.tags[names.PRESET]}"
    return (f"{entry} on {dataset}" if dataset else entry) or head.name


def _line(run: Seen, head: Seen, found: Found, now: float, judge: Judge, silent: bool) -> Line:
    epochs, epoch, metric = progress.epochs_of(run), progress.epoch_of(run), progress.curve_of(run)
    if run.status != RUNNING:
        state = PRUNED if names.PRUNED in run.tags else _ENDS.get(run.status, WAITS)
        main = VIEWS[run.entry].main if run.entry in VIEWS else ""
        metric = main if main in run.latest else metric
        took = None if run.ended is None else max(0.0, run.ended - run.began)
        note = run.tags.get(names.FAILURE, "") if state in (FAILED, KILLED) else ""
        value = progress.value_of(run.latest, metric)
        heard = run.ended or progress.last_sign(run)
        return Line(run.name, state, epoch, epochs, metric, value, heard=heard, took_s=took, note=note)
    why = "" if run is head else _trouble(run, head, found, now, judge, silent)
    stale = bool(why) or (run is head and silent)
    points = found.histories.get((run.run_id, progress.pace_of(run)), ())
    return Line(
        name=run.name,
        state=STALE if stale else RUNS,
        epoch=epoch,
        epochs=epochs,
        metric=metric,
        value=progress.value_of(run.latest, metric),
        history=progress.finite(found.histories.get((run.run_id, metric), ())),
        left_s=progress.left_s(points, epochs, run.began, now) if epochs and not stale else None,
        heard=progress.last_sign(run),
        note=why,
    )


def _trouble(run: Seen, head: Seen, found: Found, now: float, judge: Judge, silent: bool = False) -> str:
    """Why a run that says RUNNING is taken to be stale; "" if it is not.

    Args:
        run: the run.
        head: the run of its launch.
        found: as read.
        now: seconds since 1970.
        judge: gives the state of a process.
        silent: whether the launch is stale.
    """
    if run.status != RUNNING:
        return ""
    process = judge(Identity.of(run.tags))
    if process.state in (ALIVE, GONE):
        return process.reason
    beat = found.beats.get(head.run_id)
    if beat:
        quiet = now - (beat.first_read if beat.changed is None else beat.changed)
        return f"no heartbeat for {quiet:.0f} s" if quiet > SILENT_S else ""
    if silent and run is not head:
        return "its launch is stale"
    members = [each for each in found.runs if each.tags.get(names.PARENT_RUN) == run.run_id]
    quiet = now - max(map(progress.last_sign, [run, *members]))
    return "nothing was heard of it for over an hour, and its process cannot be seen from here" * (quiet > _QUIET_S)


def _remedies(head: Seen, running: Sequence[Seen], judge: Judge) -> Iterable[str]:
    """The commands that set right the status of those of a launch's runs that say RUNNING, and that continue it."""
    if any(judge(Identity.of(run.tags)).state == GONE for run in running):
        yield hint("python -m analysis sweep")
    if continued := resuming.command(head.entry, head.run_id, head.tags.get(names.COMMAND, "")):
        yield continued


def _trials(head: Seen, members: Sequence[Seen]) -> Trials:
    trials = [run for run in members if names.TRIAL in run.tags]
    pruned = [run for run in trials if names.PRUNED in run.tags]
    done = [run for run in trials if run.status == FINISHED]
    running = [run for run in trials if run.status == RUNNING]
    total = head.params.get("n_trials", "").strip("'\"")
    study = head.params.get("study", "").strip("'\"")
    metric, best, winner = names.OBJECTIVE, None, ""
    if study in STUDIED:
        search = search_of(study)
        metric = search.metric
        values = {
            f"trial-{run.tags[names.TRIAL]}": run.latest[names.OBJECTIVE].value
            for run in done
            if names.OBJECTIVE in run.latest
        }
        if values:
            winner = (max if search.maximise else min)(values, key=values.__getitem__)
            best = values[winner]
        # A study that goes on has trials of earlier launches too.
        known = progress.value_of(head.latest, names.best_found(metric))
        if known is not None and (best is None or (known > best if search.maximise else known < best)):
            best, winner = known, ""
    return Trials(
        done=len(done),
        running=len(running),
        pruned=len(pruned),
        failed=len(trials) - len(done) - len(running) - len(pruned),
        total=int(total) if total.isdecimal() else 0,
        metric=metric,
        best=best,
        winner=winner,
    )


def _result(members: Sequence[Seen]) -> str:
    """The best row of those that have finished, by the mean of the main metric over its seeds."""
    rows: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    for run in members:
        view = VIEWS.get(run.entry)
        if view and view.main in run.latest and run.status == FINISHED and names.ROW in run.tags:
            rows[view.main, run.tags[names.ROW]].append(run.latest[view.main].value)
    if not rows:
        return ""
    lowest = any(VIEWS[run.entry].lowest for run in members if run.entry in VIEWS)
    means = {key: statistics.fmean(values) for key, values in rows.items()}
    metric, row = best = (min if lowest else max)(means, key=means.__getitem__)
    over = f", mean of {len(rows[best])} seeds" if len(rows[best]) > 1 else ""
    of = f"best of {len(rows)} rows: " if len(rows) > 1 else ""
    return f"{of}{row}, {metric} {means[best]:.4g}{over}"
