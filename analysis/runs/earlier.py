"""Runs of earlier versions, whose metrics of detail had other names: they are read as if they had the present ones."""

import re
from collections.abc import Callable, Mapping

from analysis.entries import tune
from pipelines import names

_METRIC = re.compile(r"\bmetrics?\.(`[^`]+`|\"[^\"]+\"|[\w./-]+)")


def present(metrics: Mapping[str, float], tags: Mapping[str, str]) -> dict[str, float]:
    """A run's `metrics` under their present names, of other projects' runs and of launches as they are.

    Of a run that was begun by an earlier version and continued by this one, what was logged later counts.
    """
    of_trial = tags.get(names.ENTRY) == tune.NAME and names.TRIAL in tags
    if not of_trial and not all(tags.get(mark) for mark in names.ROW_MARKS):
        return dict(metrics)
    renamed = {names.present(name): value for name, value in metrics.items()}
    return renamed | {name: value for name, value in metrics.items() if name in renamed}


def spellings(filter_string: str, order: str) -> list[tuple[str, str]]:
    """A condition and an order of MLflow's search with the present names of metrics, and with the earlier ones.

    Only one if it is the same either way.
    """

    def spelled(spell: Callable[[str], str]) -> tuple[str, str]:
        def replaced(found: re.Match[str]) -> str:
            name = found[1].strip('`"')
            return found[0] if spell(name) == name else f"metrics.`{spell(name)}`"

        return _METRIC.sub(replaced, filter_string), _METRIC.sub(replaced, order)

    return list(dict.fromkeys((spelled(names.present), spelled(lambda name: names.earlier(names.present(name))))))
