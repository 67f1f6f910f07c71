"""The reports' figures drawn again from the data logged beside the runs' own, each with a caption of what it shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from analysis import tables
from pipelines import figures, names

Logged = Mapping[str, pd.DataFrame]  # row to a table that one of its runs has logged


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, which says in numbers what is seen; `name` is that of its file."""

    name: str
    caption: str
    drawing: Drawing


def forecasts(logged: Logged, panel: str, title: str, name: str) -> Figure | None:
    """Forecasts over the actual load (Figs 7-9): `logged` are the rows' FORECAST_DATA; None without that panel."""
    hours = {row: table[table["panel"] == panel] for row, table in logged.items()}
    hours = {row: table for row, table in hours.items() if len(table)}
    if not hours:
        return None
    first = next(iter(hours.values()))
    actual, times = first["actual_mw"].to_numpy(), pd.to_datetime(first["time"])
    errors = {row: np.abs(table["forecast_mw"].to_numpy() - actual).mean() for row, table in hours.items()}
    ranked = sorted(errors, key=errors.get)
    series = first["series"].iloc[0]
    shown = title.format(series=series)
    caption = (
        f"{shown[0].upper()}{shown[1:]}, {times.min():%d %b %Y} to {times.max():%d %b %Y}. The load runs from "
        f"{actual.min():,.0f} to {actual.max():,.0f} MW. Over these {len(actual)} hours {ranked[0]} is nearest, "
        f"{errors[ranked[0]]:,.0f} MW off on average, and {ranked[-1]} farthest, {errors[ranked[-1]]:,.0f} MW; a "
        "hundred hours of one series rank nothing."
    )
    lines = {row: table["forecast_mw"].to_numpy() for row, table in hours.items()}
    return Figure(name, caption, figures.forecasts(times.to_numpy(), actual, lines, shown))


def error_along_training(logged: Logged) -> Figure | None:
    """Error on the test windows as each network trains (Fig 10): `logged` are the rows' CURVE_DATA."""
    if not logged:
        return None
    ends = {row: table["smape"].iloc[-1] for row, table in logged.items()}
    starts = {row: table["smape"].iloc[0] for row, table in logged.items()}
    late = {row: table["smape"].iloc[-1] - table["smape"].iloc[len(table) // 2] for row, table in logged.items()}
    risen = [row for row, change in late.items() if change > 0]
    low, high = min(ends, key=ends.get), max(ends, key=ends.get)
    caption = (
        f"Before the first update the error is {min(starts.values()):.0f} to {max(starts.values()):.0f} %, highest for "
        f"{max(starts, key=starts.get)}. It ends lowest for {low} ({ends[low]:.2f} %) and highest for {high} "
        f"({ends[high]:.2f} %). In the second half of the points "
        + (f"it rises for {', '.join(risen)} and falls for the others." if risen else "it falls for every network.")
        + " One seed each; sMAPE in the usual convention, four times the reports'."
    )
    lines = {row: (table["update"].to_numpy(), table["smape"].to_numpy()) for row, table in logged.items()}
    title = "error on a fixed subset of test windows (cf. Fig 10)"
    return Figure("error-along-training", caption, figures.curves(lines, title, "update", "sMAPE, %"))


def epochs(logged: Logged, kind: str, figure: str) -> Figure | None:
    """Loss or accuracy after each epoch (Figs 5 and 6): `logged` are the rows' EPOCH_DATA, `kind` which of the two."""
    train, test = f"train_{kind}", f"test_{kind}"
    logged = {row: table for row, table in logged.items() if {train, test} <= set(table)}
    if not logged:
        return None
    unit, better = ("%", max) if kind == "accuracy" else ("", min)
    last = {row: table.iloc[-1] for row, table in logged.items()}
    best = {part: better(last, key=lambda row, part=part: last[row][part]) for part in (train, test)}
    gaps = {row: abs(end[train] - end[test]) for row, end in last.items()}
    widest = max(gaps, key=gaps.get)
    turned = [row for row, table in logged.items() if better(table[test]) != table[test].iloc[-1]]
    caption = (
        f"After the last epoch {best[train]} is best on the training set ({last[best[train]][train]:.4g}{unit}) and "
        f"{best[test]} on the test set ({last[best[test]][test]:.4g}{unit}). The two sets are farthest apart for "
        f"{widest} ({gaps[widest]:.3g}{unit and ' points'}). "
        + (
            f"{len(turned)} of {len(logged)} rows were better on the test set after an earlier epoch: {_some(turned)}."
            if turned
            else "Every row is best on the test set after its last epoch."
        )
        + " One seed each."
    )
    panels = {
        title: {row: (table["epoch"].to_numpy(), table[metric].to_numpy()) for row, table in logged.items()}
        for title, metric in (("training set", train), ("test set", test))
    }
    axis = "accuracy, %" if kind == "accuracy" else "mean cross entropy"
    return Figure(kind, caption, figures.epochs(panels, f"{kind} after each epoch (cf. {figure})", axis))


def sheet(row: str, labels: pd.DataFrame, images: np.ndarray, accuracy: float) -> Figure:
    """The sample of test images (Fig 7 and Table 1): SHEET_DATA and SHEET_IMAGES of a run, its whole test accuracy."""
    right = labels["label"] == labels["prediction"]
    wrong = [f"{line.label} as {line.prediction}" for line in labels[~right].itertuples()]
    count = len(labels)
    error = 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / count)
    caption = (
        f"{row} tells {right.sum()} of {count} images right, {100 * right.mean():.0f} %, beside {accuracy:.1f} % of "
        f"the whole test set; {count} images measure that to {error:.0f} points (standard error). Wrong, "
        f"framed in red: {_some(wrong, 8)}."
    )
    drawn = figures.sheet(images, labels["label"], labels["prediction"], f"{row} on {count} test images (cf. Fig 7)")
    return Figure("sheet", caption, drawn)


def accuracies(lines: pd.DataFrame) -> Figure | None:
    """Accuracies of the ResNets beside the published ones (Fig 6): a table's lines."""
    metric = names.TEST_ACCURACY
    if lines.empty:
        return None
    labels = [str(line[names.ROW]) for _, line in lines.iterrows()]
    measured = lines[f"{metric}.mean"].astype(float).tolist()
    theirs = lines[tables.published(metric)].astype(float).tolist()
    order = [labels[index] for index in np.argsort(measured)[::-1]]
    gaps = {row: ours - there for row, ours, there in zip(labels, measured, theirs, strict=True) if there == there}
    far = max(gaps, key=lambda row: abs(gaps[row])) if gaps else ""
    caption = f"Best to worst: {', '.join(order)}; the axis does not begin at zero." + (
        f" {sum(abs(gap) < 0.02 for gap in gaps.values())} of {len(gaps)} match the published accuracy to 0.02 points; "
        f"the largest difference is {gaps[far]:+.2f} points ({far})."
        if gaps
        else " None has a published accuracy on this dataset."
    )
    series = {"measured": measured} | ({"published": theirs} if gaps else {})
    drawing = figures.bars(labels, series, "accuracy on the test set (cf. Fig 6)", "accuracy, %")
    return Figure("resnets", caption, drawing)


def validation(logged: Logged) -> Figure | None:
    """Accuracy on held-out images after each epoch of a ResNet's training: `logged` are the rows' EPOCH_DATA."""
    logged = {row: table for row, table in logged.items() if names.VAL_ACCURACY in table}
    if not logged:
        return None
    ends = ", ".join(f"{row} {table[names.VAL_ACCURACY].iloc[-1]:.2f} %" for row, table in logged.items())
    lasts = ", ".join(
        f"{table[names.VAL_ACCURACY].iloc[-1] - table[names.VAL_ACCURACY].iloc[-2]:+.2f}"
        for table in logged.values()
        if len(table) > 1
    )
    caption = (
        f"After the last epoch: {ends} of the held-out training images. The last epoch changed it by {lasts} points."
    )
    lines = {row: (table["epoch"].to_numpy(), table[names.VAL_ACCURACY].to_numpy()) for row, table in logged.items()}
    drawing = figures.epochs({"held-out images": lines}, "accuracy along the training of ResNets", "accuracy, %")
    return Figure("resnet-training", caption, drawing)


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
    steps = ", ".join(f"{line.label} ({line.cost:.3g}, {line.error:.3g})" for line in on.itertuples())
    caption = f"Nothing is both cheaper and better than: {steps}. " + (
        f"The other {len(beaten)} are beaten in both by one of these." if len(beaten) else "None is beaten in both."
    )
    columns = [points[column].to_numpy() for column in ("label", "cost", "error", "spread")]
    return Figure(name, caption, figures.frontier(*columns, cost=cost, error=error, title=title))


def study(name: str, trials: pd.DataFrame, metric: str, lowest: bool, file: str) -> Figure | None:
    """How a study went: TRIALS of its newest launch."""
    done = trials[(trials["state"] == "COMPLETE") & trials[metric].notna()]
    if done.empty:
        return None
    values = done[metric].to_numpy()
    best = np.minimum.accumulate(values) if lowest else np.maximum.accumulate(values)
    found = done.iloc[int(values.argmin() if lowest else values.argmax())]
    states = trials["state"].value_counts()
    given_up = int(states.get("PRUNED", 0))
    settings = {
        column: tables.brief(found[column])
        for column in trials.columns[trials.columns.get_loc("seconds") + 1 :]
        if column not in ("retry_of", "run_id") and pd.notna(found[column])
    }
    after = int((best == best[-1]).argmax())
    caption = (
        f"{name}: {len(trials)} trials, {len(done)} to their end, {given_up} given up early. The best, trial "
        f"{found['trial']}, reaches {metric} {found[metric]:.4g} with "
        f"{', '.join(f'{key} {value}' for key, value in settings.items())}; {len(done) - after - 1} further trials "
        "found nothing better. Judged on validation data."
    )
    drawing = figures.study_history(done["trial"].to_numpy(), values, best, metric)
    return Figure(file, caption, drawing)


def importances(name: str, shares: pd.DataFrame, file: str) -> Figure | None:
    """Which hyperparameter mattered: IMPORTANCES of a study's newest launch."""
    if shares.empty:
        return None
    known = dict(zip(shares["hyperparameter"], shares["importance"], strict=True))
    first = max(known, key=known.get)
    caption = f"{name}: {first} decides most, {100 * known[first]:.0f} % of the importance by PED-ANOVA."
    return Figure(file, caption, figures.study_importances(known))


def _some(listed: Sequence[str], most: int = 6) -> str:
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "") if listed else "none"
