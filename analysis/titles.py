"""Columns of tables in words, for papers: what a metric or setting is called in print, with its unit."""

import re

from pipelines import names

_WORDS = {
    "n": "runs",
    "lr": "learning rate",
    "95 %": "95 % interval",
    "difference 95 %": "difference, 95 % interval",
    "predictions p": "p by predictions",
}
_ENDINGS = {" published": "published", " 95 %": "95 % interval", ".difference": "ours minus published"}
_GROUPS = {
    "best": "best {metric}",
    "best_step": "step of the best {metric}",
    "first": "{metric} before training",
    "series": "{metric}, {part}",
    "class": "{metric}, {part}",
    "precision": "{metric}, {part}",
}
_KNOWN = re.compile(
    rf"(?<![\w/.-])({'|'.join(sorted(map(re.escape, names.IN_PRINT), key=len, reverse=True))})(\.minus\.|(?![\w/-]))"
)


def title(column: str) -> str:
    """The title of a column of a table in words; of a name that is not this project's, with spaces for underscores."""
    metric, _, against = column.partition(".minus.")
    if against and metric in names.IN_PRINT:
        return f"{_with_unit(metric)}, minus {against}"
    for ending, words in _ENDINGS.items():
        if column.endswith(ending) and column != ending:
            return f"{title(column.removesuffix(ending))}, {words}"
    return _with_unit(column) if column in names.IN_PRINT else _grouped(column)


def in_words(text: str) -> str:
    """`text` with the names of metrics as `title` has them, without units."""
    return _KNOWN.sub(lambda found: names.IN_PRINT[found[1]][0] + (" minus " if found[2] else ""), text)


def _with_unit(metric: str) -> str:
    name, unit = names.IN_PRINT[metric]
    return f"{name} ({unit})" if unit else name


def _grouped(column: str) -> str:
    """A metric of a group, such as ``best/test_loss`` or ``series/smape.AEP``; any other name by its words."""
    group, _, rest = column.partition("/")
    metric, _, part = rest.partition(".")
    if group in _GROUPS and metric:
        return _GROUPS[group].format(metric=title(metric), part=part)
    return _WORDS.get(column, column.replace("_", " "))
