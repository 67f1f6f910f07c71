"""Runs as frames.find gives them, without a tracking server, and tables as they are printed."""

import pandas as pd

from analysis.entries.index import VIEWS
from analysis.tables.compare import compare
from analysis.tables.table import Options, Table
from pipelines.experiments.ablation.rows import ABLATION, resolve_classifier
from pipelines.experiments.recurrent.rows import NETWORKS

NO_CURVES = pd.DataFrame(columns=["run_id", "metric", "step", "value"])


def frame(*lines: dict) -> pd.DataFrame:
    """Runs of which `lines` say what differs from the first seed of a row of recurrent, trained densely on pjm."""
    common = {"tags.entry": "recurrent", "tags.seed": "0", "tags.training": "dense", "tags.dataset": "pjm"}
    return pd.DataFrame([common | {"run_id": str(index)} | line for index, line in enumerate(lines)])


def classifier(row: str, seed: int = 0, training: str = "autograd", **changes: object) -> dict:
    """A run of an ablation row as the pipelines log it, with the report's figures as ours; `changes` by full name."""
    settings = resolve_classifier(row, "cifar10", training, seed, 1.0).params()
    tags = {"tags.entry": "ablation", "tags.row": row, "tags.seed": str(seed), "tags.training": training}
    params = {f"params.{name}": str(value) for name, value in settings.items()}
    published = ABLATION[row].published
    figures = {f"metrics.{name}": value for name, value in (published.figures if published else {}).items()}
    return tags | {"tags.dataset": "cifar10"} | params | figures | changes


def seeded(row: str, *accuracies: float, start: int = 0) -> list[dict]:
    """A run of `classifier` for each test accuracy, of seeds from `start`."""
    return [
        classifier(row, seed, **{"metrics.test_accuracy": accuracy}) for seed, accuracy in enumerate(accuracies, start)
    ]


def table_1() -> pd.DataFrame:
    """The forecasting report's Table 1 as if we had measured it, with the linear model's 0.193 %."""
    networks = [
        {"tags.row": row, **{f"metrics.{name}": value for name, value in network.published.figures.items()}}
        for row, network in NETWORKS.items()
        if network.published
    ]
    linear = {"tags.row": "linear-ar-hourly", "tags.training": "none", "metrics.smape_report": 0.193}
    return frame(*networks, linear)


def table_2() -> pd.DataFrame:
    """The CNN report's Table 2, and its 13 of 20 images, as if we had measured them."""
    found = frame(*(classifier(row) for row, found in ABLATION.items() if found.published))
    found.loc[found["tags.row"] == "cnn", "metrics.sheet_accuracy"] = 65.0
    return found


def grid(markdown: str) -> list[list[str]]:
    """Cells of the first table of a markdown text, header first."""
    table = next(part for part in markdown.split("\n\n") if part.startswith("|")).splitlines()
    return [
        [cell.strip() for cell in line.strip("|").replace("\\|", "¦").split("|")] for line in table if "---" not in line
    ]


def ablation_table(*lines: dict, **options: object) -> Table:
    """The comparison of runs like those of `classifier`, with these Options."""
    (table,) = compare(frame(*lines), VIEWS, Options(**options))
    return table
