"""Comparison tables: a frame of runs (see frames.find) becomes lines of means beside published figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.errors import InputError
from analysis.tables import baseline, lines, notes, predicted
from analysis.tables.columns import (
    COUNT,
    DATASET,
    ENTRY,
    FOREIGN,
    LINE,
    ROW,
    TRAINING,
    are_foreign,
    find,
    labels,
    unknown,
)
from analysis.tables.order import ranked, sort
from analysis.tables.predicted import Outcomes
from analysis.tables.select import differing, newest
from analysis.tables.table import Options, Table
from analysis.view import View, general
from pipelines import names


def compare(
    runs: pd.DataFrame, views: Mapping[str, View], options: Options, outcomes: Outcomes | None = None
) -> list[Table]:
    """One table for each entry and data set among `runs` (what frames.find returns, not empty).

    Args:
        runs: what to compare.
        views: entry to what its comparison shows; of an entry without one, all metrics are shown.
        options: what else to show.
        outcomes: reads what the runs predicted, by which lines are tested against a baseline too; None does not.

    Raises:
        InputError: `options` name something that these runs do not have.
    """
    rows = set(runs[ROW]) - {""}
    if options.baseline and not rows:
        raise InputError("baseline: runs of other projects have no rows; order their lines with --sort")
    if options.baseline and options.baseline not in rows:
        raise unknown("baseline", options.baseline, rows)
    # An experiment may be called as an entry of ours.
    foreign = runs.get(FOREIGN, pd.Series(False, runs.index))
    tables = []
    for (entry, _, dataset), part in runs.groupby([runs[ENTRY], foreign, runs[DATASET]]):
        entry, dataset = str(entry), str(dataset)
        tables.append(table(entry, dataset, part, views.get(entry, general(views)), options, outcomes))
    return tables


def table(
    entry: str,
    dataset: str,
    found: pd.DataFrame,
    own: View,
    options: Options,
    outcomes: Outcomes | None = None,
) -> Table:
    """The comparison of one entry's runs on one data set, see `compare`."""
    runs = newest(found)
    view = _view(runs, own, options.metrics)
    leading, keys = lines.grouping(runs, view, options.group_by)
    runs = lines.numbered(runs, keys, view)
    figures = lines.figures(runs, view)
    columns = [*leading, *(find(runs, "columns", name) for name in options.columns)]
    labelled = labels(columns, {names.ENTRY, COUNT, *view.metrics, *figures})
    words = {label: lines.joined(runs, column, given=column in keys) for column, label in labelled.items()}
    whole = pd.DataFrame({names.ENTRY: entry} | words | {COUNT: runs.groupby(LINE).size()} | figures)
    footnotes = notes.on_figures(whole, runs, view) + notes.on_settings(runs, view, labelled)
    if len(runs) < len(found):
        footnotes.append(
            f"Left out: what a later run repeats with the same seed and settings ({len(found) - len(runs)})."
        )
    against = f"{view.main}.minus.{options.baseline}" if options.baseline and view.main else ""
    if against:
        bases = baseline.bases(whole, runs, view, options.baseline, labelled)
        whole = whole.join(baseline.compared(whole, bases, runs, view.main, against))
        footnotes += baseline.notes(whole, bases, options.baseline, against, labelled.values())
        if outcomes:
            whole = whole.join(predicted.compared(whole, bases, runs, view.main, against, outcomes))
            footnotes += predicted.notes(whole, bases, against)
    if options.sort:
        whole = sort(whole, options.sort)
    elif options.ranked:
        whole = ranked(whole, view)
    whole = whole.head(options.limit) if options.limit else whole
    requested = {*options.group_by, *options.columns}
    shown = _shown(runs, labelled, requested)
    telling = {labelled[column] for column in differing(runs, labelled, [ROW, DATASET])}
    needed = tuple(label for label in shown if label in telling | requested)
    footnotes += notes.on_unverified(whole, runs, shown)
    return Table(entry, dataset, whole, shown, needed, view, against, tuple(footnotes))


def _view(runs: pd.DataFrame, own: View, metrics: Sequence[str]) -> View:
    """The entry's `own` view with the requested metrics; a view without metrics gets all that the runs have."""
    known = [column.removeprefix("metrics.") for column in map(str, runs) if column.startswith("metrics.")]
    chosen = tuple(dict.fromkeys(_metric(name, known) for name in metrics))
    foreign = are_foreign(runs)
    view = View() if foreign else own
    if not view.metrics:
        hidden = set() if foreign else set(filter(names.is_derived, known))
        plain = tuple(sorted(name for name in known if name not in hidden and runs[f"metrics.{name}"].notna().any()))
        view = replace(view, metrics=plain)
    if chosen:
        view = replace(view, metrics=chosen, published=tuple(name for name in view.published if name in chosen))
    if view.main in view.metrics:
        return view
    outcomes = () if foreign or chosen else names.OUTCOMES
    main = next((name for name in (*outcomes, *view.metrics) if name in view.metrics), "")
    # The first by its name alone is no merit that lines are ranked by.
    meant = not foreign and (bool(chosen) or main in outcomes)
    return replace(view, main=main, lowest=names.lowest_is_best(main) if meant else None)


def _metric(name: str, known: Sequence[str]) -> str:
    """The metric of that name among those `known`, which may be the name that an earlier version gave it."""
    bare = name.removeprefix("metrics.")
    found = next((each for each in (name, bare, names.present(bare)) if each in known), "")
    if not found:
        raise unknown("metrics", bare, known)
    return found


def _shown(runs: pd.DataFrame, labelled: Mapping[str, str], requested: set[str]) -> tuple[str, ...]:
    """Labels of the columns that a reader needs: those requested, and those whose values differ between lines."""

    def needed(column: str) -> bool:
        varies = column not in (DATASET, TRAINING) or runs[column].nunique() > 1
        return varies and bool((runs[column] != "").any())

    return tuple(label for column, label in labelled.items() if needed(column) or label in requested)
