"""A tracking database with extreme, hostile and invalid values: of old clients, of other languages, of plain SQL."""

import math
from pathlib import Path

from support.stores import START, Logged, insert

MARKUP = "<script>alert(1)</script>"
LINK = "[x](javascript:alert(1))"
IMAGE = "![i](https://example.org/i.png)"
TEX = r"\input{/etc/passwd} $x$ 50% #1 {a}_b^c ~ & \\"
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1")
MARKS = ("a|b", "`rm`", "**bold**", "__init__", "# title", "&lt;b&gt;", "a\nb", "--", "[0pt]", "*", "~~no~~")
HOSTILE = (MARKUP, LINK, IMAGE, TEX, *FORMULAS, *MARKS)
ODD = (
    *("\x00nul", "\x1b[31mred", "\u202eright to left", "\u05e2\u05d1\u05e8\u05d9\u05ea", "\U0001f600\u200d\U0001f52c"),
    *("a\r\nb\tc", "\x85", "", " ", "nan", "None", "1e999"),
)

# An hour, in milliseconds; times that pandas, Python or no calendar can represent.
HOUR = 3_600_000
TIMES = (
    (None, None),
    (0, 0),
    (-START, START),
    (START, None),
    (START, START - HOUR),
    (10**13, 10**14),
    (10**15, 10**16),
    (2**63 - 1, 2**63 - 1),
    (-(2**63), -(2**63)),
)
VALUES = (math.nan, 1.7976931348623157e308, -1.7976931348623157e308, 1e308, -1e308, 5e-324, 0.0, -0.0, 1e-300)
STEPS = ((-5, 1.0), (0, 2.0), (10**12, 3.0), (2**63 - 1, 4.0))


def runs() -> list[Logged]:
    """Runs of another project with all of these values."""
    made = [Logged({"p": value}, {"auc": 0.5}, {"t": value}, name=value) for value in (*HOSTILE, *ODD)]
    made += [Logged({value or "empty": "1"}, {value or "empty": 0.5}, {value or "empty": "1"}) for value in HOSTILE]
    made += [Logged({"time": str(index)}, {"auc": 0.5}, start=a, end=b) for index, (a, b) in enumerate(TIMES)]
    made += [Logged({"value": str(index)}, {"auc": value}) for index, value in enumerate(VALUES)]
    made += [Logged({"a": "steps"}, {"auc": STEPS, "hole": [(0, 1.0), (7, 2.0)]})]
    made += [Logged({}, {}, {}, name=None), Logged({}, {}, {"t": None}), Logged({}, {}, {"t": b"\xff\x00bytes"})]
    made += [Logged({"p": "x" * 6000}, {"auc": 0.5}, {"t": "y" * 8000}, name="n" * 250)]
    made += [Logged(status=status) for status in ("RUNNING", "SCHEDULED", "FAILED", "KILLED")]
    made += [Logged({"gone": "1"}, deleted=True)]
    made += [Logged({"mixed": value}) for value in ("1", "0.5", "True", "=2")]
    return made


def rows() -> list[Logged]:
    """Runs that look like rows of this project, with these values in them."""

    def row(entry: str, name: str, seed: object = 0, dataset: str = "pjm", metrics: object = None, **more: object):
        tags = {"entry": entry, "row": name, "seed": str(seed), "training": "dense", "dataset": dataset}
        figures = {"smape_report": 0.2 + len(name) / 1000, "test_accuracy": 50.0, "training_time_s": 1.0}
        return Logged({"lr": "0.1"}, figures if metrics is None else metrics, tags | {"data_digest": "d"}, **more)

    made = [row("recurrent", value) for value in HOSTILE]
    made += [
        row("ablation", "cnn", seed, dataset) for seed in ("x", "1.5", "-1", "") for dataset in ("cifar10", MARKUP)
    ]
    made += [row("resnet", "resnet18", metrics={}), row("pretrain", "resnet18", metrics={"test_accuracy": math.nan})]
    made += [row("recurrent", "gru-2", index, start=a, end=b) for index, (a, b) in enumerate(TIMES)]
    made += [row("recurrent", "lstm-2", index, metrics={"smape_report": value}) for index, value in enumerate(VALUES)]
    made += [row("recurrent", "rnn-2", 0, metrics={"smape_report": 0.3, "smape_curve": STEPS})]
    study = {"entry": "tune", "study": "a/b <i> |", "dataset": "pjm"}
    return [*made, Logged(tags=study), Logged(tags=study | {"trial": "0"})]


def fill(database: Path) -> list[str]:
    """Inserts all of these runs into a blank database and returns the ids of those of the other project."""
    ids = insert(database, runs(), "zoo")
    insert(database, runs()[:3], HOSTILE[0])
    insert(database, [Logged({"gone": "1"})], "gone", deleted=True)
    insert(database, rows(), "ours")
    return ids
