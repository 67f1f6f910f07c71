"""Names of the columns of runs and of tables, and how a column is found by the name that a user gives."""

import re
from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from analysis.errors import InputError
from pipelines import names
from pipelines.errors import nearest

ENTRY, ROW, DATASET, TRAINING, SEED = IDENTITY = tuple(
    f"tags.{tag}" for tag in (names.ENTRY, names.ROW, names.DATASET, names.TRAINING, names.SEED)
)

VERIFIED, DATA_DIGEST = f"tags.{names.VERIFIED}", f"tags.{names.DATA_DIGEST}"
CPU, ISA, GPU = (f"tags.{tag}" for tag in (names.CPU, names.ISA, names.GPU))
STUDY, TRIAL = f"tags.{names.STUDY}", f"tags.{names.TRIAL}"
PARTS = {f"tags.{part}": part for part in names.PARTS}  # what a run with such a column is

LINE = "line"  # of a table, that a run belongs to

# True for a run of another project: its parameters, metrics and tags are never taken for this project's.
FOREIGN = "foreign"
# Prefix of those tags of such a run that have the name of one of this project's.
THEIR_TAGS = "their_tags."
WORDS = (*IDENTITY, VERIFIED, DATA_DIGEST)

FEW = 12  # names that an error lists beside the one that it takes to be meant
COUNT = "n"  # column of a table: how many runs a line has


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


def predictions(against: str) -> str:
    """Name of the difference `against`, as tested by the predictions for the same test targets."""
    return f"{against}.predictions"


def method(against: str) -> str:
    """Name of the test that `p_value(against)` comes from."""
    return f"{against}.test"


def are_foreign(runs: pd.DataFrame) -> bool:
    """Tells whether all of `runs` are another project's."""
    return FOREIGN in runs and bool(runs[FOREIGN].all())


def find(runs: pd.DataFrame, option: str, name: str) -> str:
    """Returns the column of a parameter or tag by its bare or full name; a tag of identity goes before a parameter.

    Raises:
        InputError: `runs` have none of that name, which `option` asked for.
    """
    identity = () if are_foreign(runs) else (tag for tag in IDENTITY if tag == f"tags.{name}")
    theirs = f"{THEIR_TAGS}{name.removeprefix('tags.')}"
    words = set(WORDS) if are_foreign(runs) else set()
    for column in (name, *identity, f"params.{name}", theirs, f"tags.{name}"):
        if column in runs and column.startswith(("params.", "tags.", THEIR_TAGS)) and column not in words:
            return column
    known = [column for column in map(str, runs) if column.startswith(("params.", "tags.", THEIR_TAGS))]
    shown = labels([column for column in known if not column.startswith("tags.mlflow.")])
    raise unknown(option, re.sub(r"^(params|tags)\.", "", name), shown.values())


def labels(columns: Sequence[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Columns to their bare names, or full names where another column is called so or the name is `taken`."""
    bare = {column: re.sub(r"^(params|tags)\.", "", _full(column)) for column in columns}
    others = {*taken, *map(_full, columns)}
    return {
        column: _full(column) if list(bare.values()).count(name) > 1 or name in others else name
        for column, name in bare.items()
    }


def unknown(option: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a `name` given to `option` that is none of those `known`: the nearest, and all where these are few."""
    listed = sorted(set(known))
    of_other_kind = next((each for each in listed if each in (f"params.{name}", f"tags.{name}")), "")
    near = f"did you mean {of_other_kind}? " if of_other_kind else nearest(name, listed)
    remedy = near.strip() if near and len(listed) > FEW else f"{near}{'K' if near else 'k'}nown are {', '.join(listed)}"
    return InputError(f"{option}: these runs have no {name!r:.60}; {remedy}")


def _full(column: str) -> str:
    """Name of a column as readers know it."""
    return f"tags.{column.removeprefix(THEIR_TAGS)}" if column.startswith(THEIR_TAGS) else column
