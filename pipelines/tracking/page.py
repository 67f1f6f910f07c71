"""The page of an experiment in MLflow's interface: its saved views, and its description, which links to them.

Both are tags of the experiment. Whatever a user has changed there stays as it is.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from pipelines import names
from pipelines.common import ui, views
from pipelines.common.views import Stored, View
from pipelines.tracking.run import Run

# A definition of a link, which markdown does not show. It has the digest of the text before it.
_MARK = re.compile(r"\n\n\[//\]: # \(" + re.escape(names.EXPERIMENT) + r" ([0-9a-f]{16})\)$")
# Descriptions that earlier versions wrote.
_EARLIER = ("Neural networks compared honestly: each run is a row of the catalogue; its parent is one launch.",)

_FIRST = "Neural networks compared honestly. Open this description: it has links to the runs, best first."

_ABOUT = """\
A run is one row of the catalogue with one seed, or one trial of a study. The launch that made it is the run above it, \
which the views leave out. The menu *Views* has the same views.

In a terminal, `python -m analysis compare` prints the runs in tables beside the published figures, and \
`python -m analysis report` writes all tables and figures to one page."""


def present(run: Run, view: View) -> None:
    """Save a view on the page of a run's experiment, unless it is there; no reason to stop if that is refused."""
    experiment = run.record.known().experiment
    with suppress(MlflowException):
        run.delivery.query(lambda: _present(run.client, experiment, view), lambda: None)


def _present(client: MlflowClient, experiment: str, view: View) -> None:
    tags = client.get_experiment(experiment).tags
    saved = {each.id: each for each in views.stored(tags)}
    now, before = get_current_time_millis(), saved.get(view.id)
    if before is None or (before.ours and not before.is_up_to_date(view)):
        tag = views.encoded(view, before.created if before else now, now)
        client.set_experiment_tag(experiment, views.TAG + view.id, tag)
        # Another launch may have saved one at the same moment.
        tags = client.get_experiment(experiment).tags
    written, text = tags.get(names.DESCRIPTION), description(experiment, views.stored(tags))
    if written != text and (written is None or is_ours(written)):
        client.set_experiment_tag(experiment, names.DESCRIPTION, text)


def description(experiment: str, saved: Sequence[Stored]) -> str:
    """The description of an experiment, in markdown.

    Its first line is all that is seen of it at first, and as it stands: without markdown, and cut at the width.

    Args:
        experiment: its id.
        saved: views; those that this project has made are listed.
    """
    made = [view for view in saved if view.is_of_the_project]
    tables = ", ".join(f"[{view.name}]({ui.view('', experiment, view.id)})" for view in made)
    charts = ", ".join(f"[{view.name}]({ui.view('', experiment, view.id, ui.Mode.CHARTS)})" for view in made)
    text = f"{_FIRST}\n\nRuns, best first: {tables}.\n\nCharts of them: {charts}.\n\n{_ABOUT}"
    return f"{text}\n\n[//]: # ({names.EXPERIMENT} {_digest(text)})"


def is_ours(text: str) -> bool:
    """Returns whether this project wrote the description `text`, and nobody has changed it since."""
    mark = _MARK.search(text)
    return text in _EARLIER or bool(mark and mark[1] == _digest(text[: mark.start()]))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
