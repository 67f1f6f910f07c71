"""Comparison tables: a frame of runs (see runs.find) becomes lines of means beside published figures."""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from analysis.errors import InputError
from analysis.stats import (
    MISSING,
    NO_TEST,
    ONE_SAMPLE,
    PAIRED,
    WELCH,
    Summary,
    Test,
    as_printed,
    compare_means,
    fixed,
    holm,
    interval,
    probability,
)
from analysis.views import TRAINING_NOTES, VIEWS, View
from pipelines import names
from pipelines.experiments.base import NO_TRAINING

ENTRY, ROW, DATASET, TRAINING, SEED = IDENTITY = tuple(
    f"tags.{tag}" for tag in (names.ENTRY, names.ROW, names.DATASET, names.TRAINING, names.SEED)
)

VERIFIED, DATA_DIGEST = f"tags.{names.VERIFIED}", f"tags.{names.DATA_DIGEST}"

LINE = "line"  # of a table, that a run belongs to

# Whether a run is another project's: whatever its parameters, metrics and tags are called, they are no words of ours.
FOREIGN = "foreign"
# What the tags of such a run are put under whose names are words of ours.
THEIR_TAGS = "their_tags."
WORDS = (*IDENTITY, VERIFIED, DATA_DIGEST)

COUNT = "n"  # column of a table: how many runs a line has

LONGEST = 80  # letters of a value that readers are shown whole


@dataclass(frozen=True)
class Options:
    """What to show of the runs; empty means the entry's own (see VIEWS).

    Attributes:
        metrics: metrics to show.
        columns: further parameters or tags to show; several values in one line are joined by commas.
        group_by: parameters or tags whose values make a line, besides the dataset, which always does. Default: row,
            training and every parameter but the seed.
        baseline: a row, to whose main metric each line's difference is given and tested.
        sort: a column of Table.lines, or a metric for its mean; a leading ``-`` for descending; missing values last.
            Default: the order of the catalogue.
        limit: how many lines of each table to keep; 0 for all.
    """

    metrics: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    baseline: str = ""
    sort: str = ""
    limit: int = 0


@dataclass(frozen=True)
class Table:
    """The comparison of one entry's runs on one data set.

    `lines` has full precision and these columns: entry, row, dataset, training (or what is grouped by; of other
    projects' runs nothing), the parameters that differ, the columns asked for, each called as another column is under
    its full name (``params.n``), ``n`` (runs), then for each metric ``.mean``, ``.std``, ``.n``, ``.low`` and
    ``.high`` (the 95 % interval of the mean) and, where the entry has published figures, ``.published``; the main
    metric's ``.difference`` is ours minus published. Last comes the column named by `against`, the main metric's
    difference to the baseline row, if one was asked for, with its ``.p`` and ``.test``. `shown` are the leading columns
    that a reader needs to tell the lines apart.
    """

    entry: str
    dataset: str
    lines: pd.DataFrame
    shown: tuple[str, ...]
    view: View
    against: str
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The entry, and the data set where there is one."""
        return f"{self.entry}, {self.dataset}" if self.dataset else self.entry


@dataclass(frozen=True)
class Cells:
    """A table's rounded text: `header` and `lines`, whose last `numeric` columns are figures."""

    header: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]
    numeric: int


def published(metric: str) -> str:
    """Name of the published figure beside ours of `metric`."""
    return f"{metric}.published"


def difference(metric: str) -> str:
    """Name of ours minus the published figure of `metric`."""
    return f"{metric}.difference"


def low(metric: str) -> str:
    """Name of the lower end of the 95 % interval of our mean of `metric`."""
    return f"{metric}.low"


def high(metric: str) -> str:
    """Name of the upper end of the 95 % interval of our mean of `metric`."""
    return f"{metric}.high"


def p_value(against: str) -> str:
    """Name of the p value, corrected by Holm, of the difference `against`."""
    return f"{against}.p"


def method(against: str) -> str:
    """Name of the test that `p_value(against)` comes from."""
    return f"{against}.test"


def compare(runs: pd.DataFrame, options: Options) -> list[Table]:
    """One table for each entry and data set among `runs` (what runs.find returns, not empty).

    Raises:
        InputError: `options` name something that these runs do not have.
    """
    rows = set(runs[ROW]) - {""}
    if options.baseline and not rows:
        raise InputError("baseline: runs of other projects have no rows; order their lines with --sort")
    if options.baseline and options.baseline not in rows:
        raise _unknown("baseline", options.baseline, rows)
    # An experiment may be called as an entry of ours.
    foreign = runs.get(FOREIGN, pd.Series(False, runs.index))
    parts = runs.groupby([runs[ENTRY], foreign, runs[DATASET]])
    return [_table(entry, dataset, part, options) for (entry, _, dataset), part in parts]


def newest(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` (oldest first) without those that a later one repeats: same identity, parameters and data.

    The same seed again gives the same figures again and is no further sample. Runs without a seed are all kept, and
    those of other projects, of which we do not know that.
    """
    if _are_foreign(runs):
        return runs
    repeated = runs.duplicated([*IDENTITY, *settings(runs)], keep="last")
    return runs[~repeated | (runs[SEED] == "")]


def settings(runs: pd.DataFrame) -> list[str]:
    """Columns that tell experiments of one row apart: every parameter but the seed, and the digest of the data."""
    words = set() if _are_foreign(runs) else {tag.replace("tags.", "params.") for tag in IDENTITY}
    words |= {f"params.{seed}" for seed in names.SEED_PARAMETERS}
    parameters = sorted(column for column in runs if column.startswith("params.") and column not in words)
    return parameters + [column for column in runs if column == DATA_DIGEST]


def _are_foreign(runs: pd.DataFrame) -> bool:
    return FOREIGN in runs and bool(runs[FOREIGN].all())


def is_unverified(runs: pd.DataFrame) -> bool:
    """Whether any of `runs` had data files or weights that are not known to be the published ones."""
    return VERIFIED in runs and bool((runs[VERIFIED] == "false").any())


def unverified_note(which: Sequence[str], total: int) -> str:
    """Footnote on those of `total` lines or rows whose data files or weights may not be the published ones."""
    named = "all" if len(which) == total else ", ".join(which)
    return (
        "Measured on data files that are not the published ones, or with weights of which no digest says so "
        f"(tag {names.VERIFIED}=false; which files, is in {names.DATA_COUNTS} of the runs, and of weights the tag "
        f"{names.WEIGHTS_VERIFIED}=false): {named}."
    )


def summary(line: Mapping[str, float], metric: str) -> Summary:
    """Our mean of `metric` in a line of Table.lines."""
    return Summary(line[f"{metric}.mean"], line[f"{metric}.std"], line[f"{metric}.n"])


def cells(table: Table) -> Cells:
    """The table's figures with the digits that their spread supports."""
    view, lines = table.view, table.lines
    printed = [metric for metric in view.published if lines[published(metric)].notna().any()]
    gaps = [column for column in (difference(view.main), table.against) if column in lines]
    gaps = [column for column in gaps if lines[column].notna().any()]

    def ours(line: Mapping[str, float], metric: str) -> str:
        n = line[f"{metric}.n"]
        return f"{summary(line, metric)} (n={n})" if 0 < n < line[COUNT] else str(summary(line, metric))

    def reach(line: Mapping[str, float], metric: str) -> str:
        ends = (fixed(line[end], summary(line, metric).places) for end in (low(metric), high(metric)))
        return " … ".join(ends) if line[f"{metric}.n"] > 1 else MISSING

    def theirs(line: Mapping[str, float], metric: str) -> str:
        return as_printed(line[published(metric)])

    def gap(line: Mapping[str, float], metric: str, column: str) -> str:
        return fixed(line[column], summary(line, metric).places, sign="+")

    def tested(line: Mapping[str, float], metric: str) -> str:
        return probability(line[p_value(table.against)])

    def by(line: Mapping[str, float], metric: str) -> str:
        return line[method(table.against)] or MISSING

    columns = []
    for metric in view.metrics:
        columns.append((f"metrics.{metric}" if metric == COUNT else metric, metric, ours))
        if metric == view.main and lines[low(metric)].notna().any():
            columns.append(("95 %" if view.beside else f"{metric} 95 %", metric, reach))
    columns += [("published" if view.beside else f"{metric} published", metric, theirs) for metric in printed]
    columns += [(column, view.main, partial(gap, column=column)) for column in gaps]
    if table.against in gaps:
        columns += [("p", view.main, tested), ("test", view.main, by)]
    if view.beside:
        columns.sort(key=lambda column: view.metrics.index(column[1]))
    rows = [
        (
            *(MISSING if pd.isna(line[label]) else brief(line[label]) for label in table.shown),
            str(line[COUNT]),
            *(cell(line, metric) for _, metric, cell in columns),
        )
        for line in lines.to_dict("records")
    ]
    return Cells((*table.shown, COUNT, *(title for title, _, _ in columns)), rows, 1 + len(columns))


def brief(value: object) -> str:
    """A value for readers: a long number to 4 significant digits, a long digest by its first 12, a long text
    `shortened`."""
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{32,}", text):
        return text[:12]
    return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d{6,}(e-?\d+)?", text) else shortened(text)


def shortened(text: str) -> str:
    """A text of over LONGEST letters by its beginning, its length and a digest, which tells it from others like it."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{text[: LONGEST // 2]}… ({len(text):,} letters, {digest})"


def _table(entry: str, dataset: str, found: pd.DataFrame, options: Options) -> Table:
    runs = newest(found)
    view = _view(entry, runs, options.metrics)
    leading, keys = _grouping(runs, view, options.group_by)
    runs = runs.assign(**{LINE: _line_of_run(runs, keys, view)})
    figures = _figures(runs, view)
    columns = [*leading, *(_column(runs, "columns", name) for name in options.columns)]
    labels = _labels(columns, {names.ENTRY, COUNT, *view.metrics, *figures})
    words = {label: _joined(runs, column, given=column in keys) for column, label in labels.items()}
    lines = pd.DataFrame({names.ENTRY: entry} | words | {COUNT: runs.groupby(LINE).size()} | figures)
    notes = _notes(lines, runs, view) + _setting_notes(runs, view, labels)
    if len(runs) < len(found):
        notes.append(f"Left out: what a later run repeats with the same seed and settings ({len(found) - len(runs)}).")
    against = f"{view.main}.minus.{options.baseline}" if options.baseline and view.main else ""
    if against:
        lines = lines.join(_compared(lines, runs, view.main, options.baseline, against))
        notes += _test_notes(lines, options.baseline, against)
    lines = _sorted(lines, options.sort) if options.sort else lines
    lines = lines.head(options.limit) if options.limit else lines
    asked = {*options.group_by, *options.columns}
    shown = tuple(
        label
        for column, label in labels.items()
        if ((runs[column] != "").any() and (column not in (DATASET, TRAINING) or runs[column].nunique() > 1))
        or label in asked
    )  # fmt: skip
    doubtful = [line for line in lines.index if line in _unverified_lines(runs)]
    if doubtful:
        called = [" ".join(str(cell) for cell in lines.loc[line, list(shown)].dropna()) for line in doubtful]
        notes.append(unverified_note(called, len(lines)))
    return Table(entry, dataset, lines, shown, view, against, tuple(notes))


def _line_of_run(runs: pd.DataFrame, keys: Sequence[str], view: View) -> pd.Series:
    """For each run the number of its line, in the order of the catalogue and then of the settings."""
    group = runs.groupby(keys, dropna=False, sort=False).ngroup()
    rows = list(view.rows)

    def place(first: Mapping[str, object]) -> list[object]:
        row = rows.index(first[ROW]) if ROW in keys and first[ROW] in rows else len(rows)
        return [first[DATASET], row, *(_rank(first[key]) for key in keys)]

    firsts = runs[~group.duplicated()][list({*keys, ROW, DATASET})].to_dict("records")
    order = sorted(range(len(firsts)), key=lambda number: place(firsts[number]))
    return group.map({number: line for line, number in enumerate(order)})


def _unverified_lines(runs: pd.DataFrame) -> set[int]:
    return set(runs[LINE][runs[VERIFIED] == "false"]) if VERIFIED in runs else set()


def _view(entry: str, runs: pd.DataFrame, metrics: Sequence[str]) -> View:
    """The entry's view with the metrics asked for; for an entry without one, all that its runs have."""
    known = [column.removeprefix("metrics.") for column in runs if column.startswith("metrics.")]
    bare = (name if name in known else name.removeprefix("metrics.") for name in metrics)
    chosen = tuple(dict.fromkeys(bare))
    for name in chosen:
        if name not in known:
            raise _unknown("metrics", name, known)
    foreign = _are_foreign(runs)
    hidden = set() if foreign else names.derived(known)
    plain = tuple(sorted(name for name in known if name not in hidden and runs[f"metrics.{name}"].notna().any()))
    view = (None if foreign else VIEWS.get(entry)) or View(metrics=plain, main=plain[0] if plain else "")
    if not chosen:
        return view
    main = view.main if view.main in chosen else chosen[0]
    return replace(view, metrics=chosen, main=main, published=tuple(name for name in view.published if name in chosen))


def _grouping(runs: pd.DataFrame, view: View, group_by: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that lead a table's lines, and those whose values make a line."""
    foreign = _are_foreign(runs)
    if group_by:
        asked = [_column(runs, "group_by", name) for name in group_by]
        keys = list(dict.fromkeys(asked if foreign else [*asked, DATASET]))
        return keys, keys
    if foreign:
        return _differing(runs, view), settings(runs) or [ENTRY]
    identity = [ROW, DATASET, TRAINING]
    return [*identity, *_differing(runs, view)], [*identity, *settings(runs)]


def _differing(runs: pd.DataFrame, view: View) -> list[str]:
    """Settings that tell two lines of one row apart, or that rows trained in the same way do not share."""

    def differs(column: str) -> bool:
        within = runs.groupby([ROW, DATASET, TRAINING])[column].nunique(dropna=False) > 1
        across = runs.groupby([DATASET, TRAINING])[column].nunique() > 1
        return within.any() or (column not in view.row_params and across.any())

    return [column for column in settings(runs) if differs(column)]


def _column(runs: pd.DataFrame, option: str, name: str) -> str:
    """The column of a parameter or tag by its bare or full name; a tag of identity goes before a parameter."""
    identity = () if _are_foreign(runs) else (tag for tag in IDENTITY if tag == f"tags.{name}")
    theirs = f"{THEIR_TAGS}{name.removeprefix('tags.')}"
    words = set(WORDS) if _are_foreign(runs) else set()
    for column in (name, *identity, f"params.{name}", theirs, f"tags.{name}"):
        if column in runs and column.startswith(("params.", "tags.", THEIR_TAGS)) and column not in words:
            return column
    known = [_full(column) for column in runs if column.startswith(("params.", "tags.", THEIR_TAGS))]
    raise _unknown(option, name, [column for column in known if not column.startswith("tags.mlflow.")])


def _full(column: str) -> str:
    """The name of a column as readers know it."""
    return f"tags.{column.removeprefix(THEIR_TAGS)}" if column.startswith(THEIR_TAGS) else column


def _labels(columns: Sequence[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Columns to their bare names, or full names where another column is called so or the name is `taken`."""
    bare = {column: re.sub(r"^(params|tags)\.", "", _full(column)) for column in columns}
    others = {*taken, *map(_full, columns)}
    return {
        column: _full(column) if list(bare.values()).count(name) > 1 or name in others else name
        for column, name in bare.items()
    }


def _figures(runs: pd.DataFrame, view: View) -> dict[str, pd.Series]:
    """Columns of figures: of each metric our mean, deviation, count and interval, the published value, and how far the
    main one is from it. NaN (missing or diverged) and infinite values count for nothing."""
    figures: dict[str, pd.Series] = {}
    line = runs[LINE]
    for metric in view.metrics:
        values = runs.get(f"metrics.{metric}", pd.Series(math.nan, runs.index))
        finite = values.where(np.isfinite(values)).groupby(line)
        mean, std, n = finite.mean(), finite.std(), finite.count()
        figures |= {f"{metric}.mean": mean, f"{metric}.std": std, f"{metric}.n": n}
        figures[low(metric)], figures[high(metric)] = interval(mean, std, n)
        if metric in view.published:
            figures[published(metric)] = _published(runs, view, metric)
    if view.main in view.published:
        figures[difference(view.main)] = figures[f"{view.main}.mean"] - figures[published(view.main)]
    return figures


def _published(runs: pd.DataFrame, view: View, metric: str) -> pd.Series:
    """The published figure of each line that is of one row, else NaN."""
    lines = runs.groupby(LINE)
    firsts, alone = lines[[ROW, DATASET]].first(), lines[ROW].nunique() == 1
    figures = [view.figure(row, dataset, metric) for row, dataset in zip(firsts[ROW], firsts[DATASET], strict=True)]
    return pd.Series(figures, firsts.index).where(alone)


def _compared(lines: pd.DataFrame, runs: pd.DataFrame, metric: str, baseline: str, against: str) -> pd.DataFrame:
    """For each line how far `metric` is from the one baseline line it can be compared to, with a test of that."""
    if names.ROW not in lines:
        raise InputError("baseline: the lines have no row to compare; add row to group_by")
    members = dict(list(runs.groupby(LINE)))
    bases = lines[lines[names.ROW] == baseline]
    gaps, tests = [], []
    for index, line in lines.iterrows():
        other = _comparable(bases, line)
        mean = f"{metric}.mean"
        gaps.append(math.nan if other is None else line[mean] - lines.loc[other, mean])
        tests.append(NO_TEST if other in (None, index) else _test(members[index], members[other], metric))
    corrected = holm([test.p for test in tests])
    columns = {against: gaps, p_value(against): corrected, method(against): [test.method for test in tests]}
    return pd.DataFrame(columns, index=lines.index)


def _comparable(bases: pd.DataFrame, line: pd.Series) -> int | None:
    """The index of the baseline's line on the same dataset, trained in the same way or not at all; None unless one."""
    other = bases[bases[names.DATASET] == line[names.DATASET]]
    if names.TRAINING in bases and line[names.TRAINING] != NO_TRAINING:
        other = other[other[names.TRAINING].isin([line[names.TRAINING], NO_TRAINING])]
    return other.index[0] if len(other) == 1 else None


def _test(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> Test:
    """A test of the difference of two lines' means; what was not trained is free of chance."""
    exact = any(set(side[TRAINING]) == {NO_TRAINING} for side in (ours, theirs))
    return compare_means(_by_seed(ours, metric), _by_seed(theirs, metric), exact)


def _by_seed(group: pd.DataFrame, metric: str) -> dict[str, float]:
    """Seed to value; runs without a seed, or with one that others of the line have too, are nobody's pair."""
    unpaired = (group[SEED] == "") | group[SEED].duplicated(keep=False)
    keys = group[SEED].where(~unpaired, group["run_id"])
    return dict(zip(keys, group.get(f"metrics.{metric}", [math.nan] * len(group)), strict=True))


METHODS = {
    PAIRED: "of the differences between runs of one seed",
    WELCH: "of two sets of runs that share no two seeds, variances apart",
    ONE_SAMPLE: "of runs against a row that is not trained, and so is free of chance",
}


def _test_notes(lines: pd.DataFrame, baseline: str, against: str) -> list[str]:
    """Footnotes on the comparison with a baseline row."""
    gap = (
        f"{against}: ours minus that of {baseline} on the same dataset, trained in the same way or not at all; a dash "
        "where there is no such line or more than one."
    )
    used = [test for test in METHODS if test in set(lines[method(against)])]
    if not used:
        return [gap]
    tests = "; ".join(f"{test}: {METHODS[test]}" for test in used)
    count = int(lines[p_value(against)].notna().sum())
    return [
        gap,
        f"p: two-sided, corrected by Holm for {count} tests; {tests}. A dash: too few runs, "
        "or no spread to measure by.",
    ]


def _sorted(lines: pd.DataFrame, sort: str) -> pd.DataFrame:
    name = sort.removeprefix("-")
    bare = re.sub(r"^(metrics|params|tags)\.", "", name)
    column = next((each for each in (name, f"{name}.mean", f"{bare}.mean", bare) if each in lines), "")
    if not column:
        raise _unknown("sort", name, lines.columns)
    present = lines[lines[column].notna()]
    order = sorted(present.index, key=lambda index: _rank(present[column][index]), reverse=sort.startswith("-"))
    return lines.loc[[*order, *lines.index.difference(present.index)]]


def _rank(value: object) -> tuple[int, float, str]:
    """Order of values: numbers (also written as text) by size, then other text, then what is missing."""
    if pd.isna(value):
        return 2, 0.0, ""
    try:
        return 0, float(value), ""
    except (TypeError, ValueError):
        # trial-9 before trial-10; figures within are no numbers, such as those of a digest.
        return 1, 0.0, re.sub(r"\d+$", lambda digits: digits[0].zfill(9), str(value))


def _joined(runs: pd.DataFrame, column: str, given: bool) -> pd.Series:
    """Each line's distinct values of `column` as text, None where there are none; `given`: there is but one."""
    values = runs.groupby(LINE)[column]
    if given:
        return values.first().map(str, na_action="ignore").astype(object).where(values.count() > 0, None)
    return values.agg(lambda own: ", ".join(str(value) for value in _distinct(own)) or None)


def _distinct(values: pd.Series) -> list[object]:
    return sorted(values.dropna().unique(), key=_rank)


def _brief_values(values: pd.Series) -> str:
    return ", ".join(brief(value) for value in _distinct(values))


def _notes(lines: pd.DataFrame, runs: pd.DataFrame, view: View) -> list[str]:
    """Footnotes on the figures and protocols that this table shows."""
    notes = []
    if any(lines[f"{metric}.std"].notna().any() for metric in view.metrics):
        notes.append("±: sample standard deviation over the n runs of a line (divisor n − 1).")
    if view.main and lines[low(view.main)].notna().any():
        notes.append("95 %: interval of the mean by Student's t over the runs; it knows nothing of other test data.")
    if any((lines[f"{metric}.n"] < lines[COUNT]).any() for metric in view.metrics):
        notes.append("(n=k): only k of the line's runs have a finite value; a dash: none has.")
    notes += dict.fromkeys(view.notes[metric] for metric in view.metrics if metric in view.notes)
    if any(lines[published(metric)].notna().any() for metric in view.published):
        notes.append(view.published_note)
    return notes + [note for training, note in TRAINING_NOTES.items() if training in set(runs[TRAINING])]


def _setting_notes(runs: pd.DataFrame, view: View, shown: Collection[str]) -> list[str]:
    """Footnotes on the settings that are no columns: those that a line pools, and those that all lines share."""
    hidden = [column for column in settings(runs) if column not in shown and column not in view.row_params]
    lines = runs.groupby(LINE)
    pooled = [column for column in hidden if (lines[column].nunique(dropna=False) > 1).any()]
    alike = [column for column in hidden if runs[column].nunique() == 1]

    def listed(columns: Sequence[str]) -> str:
        return ", ".join(f"{label} {_brief_values(runs[column])}" for column, label in _labels(columns).items())

    kinds = (("Pooled within lines", pooled), ("Alike in all lines that have them", alike))
    return [f"{meaning}: {listed(columns)}." for meaning, columns in kinds if columns]


def _unknown(option: str, name: str, known: Iterable[str]) -> InputError:
    return InputError(f"{option}: these runs have no {name!r}; choose from {', '.join(sorted(set(known)))}")
