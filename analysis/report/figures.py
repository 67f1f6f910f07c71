"""The reports' figures drawn again from the data logged beside the runs' own, each with a caption of what it shows."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.report.parts import ALL_SEEDS, Seeds
from analysis.report.sections import Figure
from analysis.stats import Summary, as_printed
from analysis.tables.cells import brief
from analysis.tables.columns import published
from pipelines import figures, names
from pipelines.experiments.recurrent.rows import Panel
from pipelines.experiments.spaces import IMPORTANCE_TRIALS

Logged = Mapping[str, pd.DataFrame]  # row to a table that one of its runs has logged

# Common arguments of the functions below: `name` of the figure's file, `data` as titles name them, `cited` the report's
# figure on the same data, empty without one, and `seeds` that are shown, see parts.shown_seeds.


def forecasts(
    logged: Logged, panel: Panel, name: str, data: str, cited: str = "", seeds: Seeds = ALL_SEEDS
) -> Figure | None:
    """Forecasts over the actual load (Figs 7-9): `logged` are the rows' FORECAST_DATA; None without that panel."""
    hours = {row: table[table["panel"] == panel.name] for row, table in logged.items()}
    hours = {row: table for row, table in hours.items() if len(table)}
    if not hours:
        return None
    first = next(iter(hours.values()))
    # Of other files under the same name the hours may be others.
    other = [row for row, table in hours.items() if list(table["time"]) != list(first["time"])]
    hours = {row: table for row, table in hours.items() if row not in other}
    actual, times = first["actual_mw"].to_numpy(), pd.to_datetime(first["time"])
    errors = {row: np.abs(table["forecast_mw"].to_numpy() - actual).mean() for row, table in hours.items()}
    ranked = sorted(errors, key=errors.__getitem__)
    series = first["series"].iloc[0]
    shown = panel.title.format(series=series, hours=len(actual))
    compared = (
        f"Over these {len(actual)} hours {ranked[0]} is nearest, {_load(errors[ranked[0]])} MW off on average, and "
        f"{ranked[-1]} farthest, {_load(errors[ranked[-1]])} MW; a hundred hours of one series rank nothing."
        if len(ranked) > 1
        else f"Over these {len(actual)} hours {ranked[0]} is {_load(errors[ranked[0]])} MW off on average."
    )
    caption = (
        f"{data}: {shown}, {times.min():%d %b %Y} to {times.max():%d %b %Y}. The load runs from "
        f"{_load(actual.min())} to {_load(actual.max())} MW. {compared}{seeds.sentence}"
        + (f" Not shown, of other hours: {', '.join(other)}." if other else "")
    )
    lines = {row: table["forecast_mw"].to_numpy() for row, table in hours.items()}
    return Figure(
        name,
        caption,
        figures.forecasts(times.to_numpy(), actual, lines, figures.titled(shown, data, cited, seeds.note)),
    )


def _load(megawatts: float) -> str:
    """A load in whole MW or, where these say too little, as of a town or a building, to three digits."""
    return f"{megawatts:,.0f}" if abs(megawatts) >= 10 else f"{megawatts:.3g}"


def leading(rows: Mapping[str, tuple[Summary, float]], name: str, title: str, lowest: bool, total: int) -> Figure:
    """The best rows, the best first, beside the published figures, if there are any.

    Args:
        rows: label to what was measured, and what was published, NaN for nothing.
        name: of the figure.
        title: what the rows are compared by.
        lowest: whether the lowest is the best.
        total: how many rows there are.
    """
    first = next(iter(rows))
    published = {row: figure for row, (_, figure) in rows.items() if not math.isnan(figure)}
    best = (min if lowest else max)(published, key=published.__getitem__, default="")
    end = "lowest" if lowest else "highest"
    caption = f"{title}: of {_count(total, 'row', 'rows')} {first} has the {end}, {rows[first][0]}." + (
        f" Of the rows shown, {best} has the best published figure, {as_printed(published[best])}." if best else ""
    )
    axis = f"{textwrap.fill(figures.literal(title), 44)}\n({'less' if lowest else 'more'} is better)"
    drawing = figures.beside_published(
        {axis: {row: (measured.mean, measured.std, figure) for row, (measured, figure) in rows.items()}},
        {axis: {row: str(measured) for row, (measured, _) in rows.items()}},
        width=5.2,
    )
    return Figure(name, caption, drawing)


def error_along_training(
    logged: Logged, name: str, data: str, cited: str = "", seeds: Seeds = ALL_SEEDS
) -> Figure | None:
    """Error on the test windows as each network trains (Fig 10): `logged` are the rows' CURVE_DATA."""
    if not logged:
        return None
    ends = {row: table["smape"].iloc[-1] for row, table in logged.items()}
    starts = {row: table["smape"].iloc[0] for row, table in logged.items()}
    late = {row: table["smape"].iloc[-1] - table["smape"].iloc[len(table) // 2] for row, table in logged.items()}
    risen = [row for row, change in late.items() if change > 0]
    highest = max(starts, key=starts.__getitem__)
    low, high = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    caption = (
        f"{data}: "
        + (
            f"before the first update the error is {min(starts.values()):.0f} to {max(starts.values()):.0f} %, highest "
            f"for {highest}. It ends lowest for {low} ({ends[low]:.2f} %) and highest for {high} "
            f"({ends[high]:.2f} %). "
            if len(logged) > 1
            else f"the error of {low} is {starts[low]:.0f} % before the first update and {ends[low]:.2f} % in the end. "
        )
        + "From the middle of the points to the last "
        + (f"it rises for {', '.join(risen)}" if risen else "it falls" + (" for every network" * (len(logged) > 1)))
        + (" and falls for the others." if 0 < len(risen) < len(logged) else ".")
        + f" sMAPE in the usual convention, four times the published one.{seeds.sentence}"
    )
    lines = {row: (table["update"].tolist(), table["smape"].tolist()) for row, table in logged.items()}
    title = figures.titled("error on a fixed subset of test windows", data, cited, seeds.note)
    return Figure(name, caption, figures.curves(lines, title, "update", "sMAPE, %"))


def where_errors_are(logged: Logged, name: str, data: str, seeds: Seeds = ALL_SEEDS) -> Figure | None:
    """Error by hour, weekday, month, holiday and series: `logged` are the rows' BREAKDOWN_DATA."""
    if not logged:
        return None
    means = {row: table[table["by"] == "hour"] for row, table in logged.items()}
    overall = {row: np.average(hours[names.SMAPE_REPORT], weights=hours["targets"]) for row, hours in means.items()}
    best = min(overall, key=overall.__getitem__)
    errors = logged[best].set_index(["by", "group"])[names.SMAPE_REPORT]
    hours, days, series = (errors.get(by, pd.Series(dtype=float)) for by in ("hour", "day", "series"))
    said = [f"{best} errs most at {hours.idxmax()}:00 ({hours.max():.3g} %), least at {hours.idxmin()}:00"]
    if len(days) > 1:
        said.append(f"{days['holiday'] / days['ordinary']:.2f} times as much on public holidays as on other days")
    if len(series) > 1:
        said.append(f"and most for {series.idxmax()} ({series.max():.3g} %), least for {series.idxmin()}")
    caption = f"{data}: {', '.join(said)}. Means over the targets of each group.{seeds.sentence}"
    panels = {
        by: {row: _by_group(table, by) for row, table in logged.items()} for by in dict.fromkeys(logged[best]["by"])
    }
    title = figures.titled("where the error is made", data, note=seeds.note)
    return Figure(name, caption, figures.groups(panels, title, "sMAPE, %, published convention"))


def _by_group(table: pd.DataFrame, by: str) -> dict[str, float]:
    own = table[table["by"] == by]
    return dict(zip(own["group"], own[names.SMAPE_REPORT], strict=True))


def epochs(logged: Logged, kind: str, name: str, data: str, cited: str = "", seeds: Seeds = ALL_SEEDS) -> Figure | None:
    """Loss or accuracy after each epoch (Figs 5 and 6): `logged` are the rows' EPOCH_DATA, `kind` which of the two."""
    train, test = f"train_{kind}", f"test_{kind}"
    if not logged:
        return None
    unit, better = ("%", max) if kind == "accuracy" else ("", min)
    last = {row: table.iloc[-1] for row, table in logged.items()}
    ends = {part: {row: end[part] for row, end in last.items()} for part in (train, test)}
    best = {part: better(values, key=values.__getitem__) for part, values in ends.items()}
    gaps = {row: abs(end[train] - end[test]) for row, end in last.items()}
    widest = max(gaps, key=gaps.__getitem__)
    turned = [row for row, table in logged.items() if better(table[test]) != table[test].iloc[-1]]
    points = unit and " points"
    other = "" if best[test] == best[train] else f"{best[test]} "
    ended = (
        f"after the last epoch {best[train]} is best on the training set ({last[best[train]][train]:.4g}{unit}) and "
        f"{other}on the test set ({last[best[test]][test]:.4g}{unit}). The two sets are farthest apart for {widest} "
        f"({gaps[widest]:.3g}{points}). "
        if len(logged) > 1
        else f"after the last epoch {widest} has {last[widest][train]:.4g}{unit} on the training set and "
        f"{last[widest][test]:.4g}{unit} on the test set. "
    )
    caption = (
        f"{data}: {ended}"
        + (
            f"{len(turned)} of {len(logged)} rows had a better epoch on the test set before the last: {_some(turned)}."
            if turned
            else "No row had a better epoch on the test set than its last."
        )
        + seeds.sentence
    )
    panels = {
        title: {row: (table["epoch"].tolist(), table[metric].tolist()) for row, table in logged.items()}
        for title, metric in (("training set", train), ("test set", test))
    }
    axis = "accuracy, %" if kind == "accuracy" else "mean cross entropy"
    title = figures.titled(f"{kind} after each epoch", data, cited, seeds.note)
    return Figure(name, caption, figures.epochs(panels, title, axis))


def sheet(
    row: str,
    labels: pd.DataFrame,
    images: np.ndarray,
    accuracy: float,
    name: str,
    data: str,
    cited: str = "",
    seeds: Seeds = ALL_SEEDS,
) -> Figure:
    """The sample of test images (Fig 7 and Table 1): SHEET_DATA and SHEET_IMAGES of a run, its whole test accuracy."""
    right = labels["label"] == labels["prediction"]
    wrong = [f"{line.label} as {line.prediction}" for line in labels[~right].itertuples()]
    count = len(labels)
    error = 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / count)
    caption = (
        f"{data}: {row} has {right.sum()} of {count} images right, {100 * right.mean():.0f} %, beside {accuracy:.1f} % "
        f"of the whole test set; {count} images measure that to {error:.0f} points (standard error). Wrong, "
        f"framed in red: {_some(wrong, 8)}.{seeds.sentence}"
    )
    title = figures.titled(f"{row} on {count} test images", data, cited, seeds.note)
    return Figure(name, caption, figures.sheet(images, labels["label"].tolist(), labels["prediction"].tolist(), title))


def accuracies(lines: pd.DataFrame, name: str, data: str, cited: str = "") -> Figure | None:
    """Accuracies of the ResNets beside the published ones (Fig 6): a table's lines, with a ``label`` each."""
    metric = names.TEST_ACCURACY
    lines = lines.dropna(subset=[f"{metric}.mean"]) if len(lines) else lines
    if lines.empty:
        return None
    labels = list(lines["label"])
    measured = lines[f"{metric}.mean"].astype(float).tolist()
    theirs = lines[published(metric)].astype(float).tolist()
    order = [labels[index] for index in np.argsort(measured)[::-1]]
    gaps = {row: ours - there for row, ours, there in zip(labels, measured, theirs, strict=True) if there == there}
    far = max(gaps, key=lambda row: abs(gaps[row])) if gaps else ""
    begins = figures.bars_from([measured, theirs])
    caption = (
        f"{data}: "
        + (f"best to worst {', '.join(order)}" if len(order) > 1 else f"{order[0]} has {measured[0]:.2f} %")
        + (f"; the axis begins at {begins:.0f} %." if begins else ".")
    ) + (
        f" {sum(abs(gap) < 0.02 for gap in gaps.values())} of {len(gaps)} match the published accuracy to 0.02 points; "
        f"the largest difference is {gaps[far]:+.2f} points ({far})."
        if gaps
        else ""
    )
    series = {"measured": measured} | ({"published": theirs} if gaps else {})
    title = figures.titled("accuracy on the test set", data, cited)
    return Figure(name, caption, figures.bars(labels, series, title, "accuracy, %"))


def validation(logged: Logged, name: str, data: str, seeds: Seeds = ALL_SEEDS) -> Figure | None:
    """Accuracy on held-out images after each epoch of a training: `logged` are the rows' EPOCH_DATA."""
    if not logged:
        return None
    ends = ", ".join(f"{row} {table[names.VAL_ACCURACY].iloc[-1]:.2f} %" for row, table in logged.items())
    lasts = ", ".join(
        f"{table[names.VAL_ACCURACY].iloc[-1] - table[names.VAL_ACCURACY].iloc[-2]:+.2f}"
        for table in logged.values()
        if len(table) > 1
    )
    caption = (
        f"{data}: accuracy on the held-out training images after the last epoch, {ends}."
        + (f" The last epoch changed it by {lasts} points." if lasts else "")
        + seeds.sentence
    )
    lines = {row: (table["epoch"].tolist(), table[names.VAL_ACCURACY].tolist()) for row, table in logged.items()}
    title = figures.titled("accuracy on held-out images along the training", data, note=seeds.note)
    return Figure(name, caption, figures.epochs({"held-out images": lines}, title, "accuracy, %"))


def frontier(points: pd.DataFrame, name: str, cost: str, error: str, title: str) -> Figure | None:
    """Error against cost.

    Args:
        points: columns ``label``, ``cost``, ``error``, and ``spread`` of the error (NaN for one run).
        name: of the figure.
        cost: axis label.
        error: axis label.
        title: of the plot.
    """
    points = points[np.isfinite(points["cost"]) & np.isfinite(points["error"])]
    if len(points) < 2:
        return None
    best = figures.pareto(points["cost"].to_numpy(), points["error"].to_numpy())
    on = points[best].sort_values("cost")
    beaten = points[~best]
    steps = ", ".join(f"{line.label} ({line.cost:.3g}; {line.error:.3g})" for line in on.itertuples())
    others = _count(len(beaten), "other is", "others are") if len(beaten) else "None is"
    caption = (
        f"{title[0].upper()}{title[1:]}. Nothing is both cheaper and better than (in brackets {cost}; {error}): "
        f"{steps}. {others} beaten"
        + (": one of these is no worse in either, and better in one." if len(beaten) else ".")
    )
    costs, errors, spreads = (points[column].to_numpy() for column in ("cost", "error", "spread"))
    if outside := list(points["label"][~figures.in_view(costs, errors)]):
        caption += f" Outside the figure, since they cost next to nothing and err far more: {_some(outside)}."
    drawing = figures.frontier(list(points["label"]), costs, errors, spreads, cost=cost, error=error, title=title)
    return Figure(name, caption, drawing)


def study(
    name: str, trials: pd.DataFrame, metric: str, lowest: bool, file: str, shares: pd.DataFrame | None
) -> Figure | None:
    """History of a study: TRIALS of its newest launch, and its IMPORTANCES where it has any."""
    done = trials[(trials["state"] == "COMPLETE") & trials[metric].notna()]
    if done.empty:
        return None
    values = done[metric].to_numpy()
    best = np.minimum.accumulate(values) if lowest else np.maximum.accumulate(values)
    found = done.iloc[int(values.argmin() if lowest else values.argmax())]
    states = trials["state"].value_counts()
    given_up = int(states.get("PRUNED", 0))
    failed = len(trials) - len(done) - given_up
    settings = {column: brief(found[column]) for column in searched(trials) if pd.notna(found[column])}
    later = len(done) - 1 - int((best == best[-1]).argmax())
    since = (
        f"{_count(later, 'further trial', 'further trials')} found nothing better"
        if later
        else "it was the last of these, so more trials may find better ones"
    )
    caption = (
        f"{name}: {len(trials)} trials, {len(done)} to their end, {given_up} given up early"
        f"{f', {failed} failed or not ended' if failed else ''}. The best, trial "
        f"{found['trial']}, reaches {metric} {found[metric]:.4g} with "
        f"{', '.join(f'{key} {value}' for key, value in settings.items())}; "
        f"{since}. Judged on validation data."
        + (
            ""
            if shares is not None
            else f" No importances of the hyperparameters: they take {IMPORTANCE_TRIALS} trials that ran to their end."
        )
    )
    drawing = figures.study_history(done["trial"].tolist(), values.tolist(), best.tolist(), metric)
    return Figure(file, caption, drawing)


def importances(name: str, trials: pd.DataFrame, shares: pd.DataFrame, file: str) -> Figure:
    """Importances of the hyperparameters: TRIALS and IMPORTANCES of a study's newest launch."""
    known = dict(zip(shares["hyperparameter"], shares["importance"], strict=True))
    method = shares[names.METHOD].iloc[0] if names.METHOD in shares else "PED-ANOVA"
    first = max(known, key=known.__getitem__)
    missing = [column for column in searched(trials) if column not in known]
    caption = f"{name}: {first} decides most, {100 * known[first]:.0f} % of the importance by {method}." + (
        f" Not among them: {', '.join(missing)}, whose range depends on another choice." if missing else ""
    )
    return Figure(file, caption, figures.study_importances(known, method))


def searched(trials: pd.DataFrame) -> list[str]:
    """The hyperparameters of a study: the columns of TRIALS after the seconds, less what identifies a trial."""
    columns = [str(column) for column in trials]
    return [column for column in columns[columns.index("seconds") + 1 :] if column not in ("retry_of", "run_id")]


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _some(listed: Sequence[str], most: int = 6) -> str:
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "") if listed else "none"
