"""The command `reproduce`: makes the run of a row again as it was made, and compares the two."""

import ast
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipelines import names
from pipelines.commands.options import ReproduceOptions
from pipelines.common import screen
from pipelines.common.command import hint
from pipelines.common.run_ids import SHORT
from pipelines.common.streams import announce
from pipelines.errors import AwayError, FailedRunsError, UserError
from pipelines.experiments.base import Settings, changed
from pipelines.experiments.index import ENTRIES, experiment_of
from pipelines.launching import agreement
from pipelines.launching.agreement import DIFFERENT, Agreement
from pipelines.launching.data import digest_of
from pipelines.launching.ending import pointers
from pipelines.launching.experiment import Experiment
from pipelines.launching.fan_out import fan_out
from pipelines.launching.jobs import Job, row_tags
from pipelines.launching.launch import launch
from pipelines.processes import scratch
from pipelines.terminal.display import conclude, doing, showing
from pipelines.tracking import provenance
from pipelines.tracking.artifacts import log_table
from pipelines.tracking.run import FINISHED, Run
from pipelines.tracking.server import connect
from pipelines.tracking.unsent import put_off_summary, require_all
from pipelines.training.machine import available_device

ENTRY = "reproduce"


def run(options: ReproduceOptions) -> None:
    """Run the command.

    Raises:
        UserError: the run cannot be made again here; before any run is made.
        FailedRunsError: the new run failed, or its metrics differ.
    """
    with showing(ENTRY):
        doing("connecting to the tracking server")
        connect(existing=True)
        original = _original(options.run)
        experiment = experiment_of(original.tags[names.ENTRY])
        recorded = _settings(original, experiment)
        experiment.require(recorded)
        _require_same_data(original, recorded, experiment.data, options.data_dir)
        settings = _here(recorded)
        noted = _differences(original, recorded, settings)
        for line in noted or ["code, data, software and processor are those of then"]:
            announce(line)
        doing("")
        with scratch.folder() as folder:
            context = experiment.surroundings(settings, options.data_dir, folder)
            of = {names.REPRODUCES: original.id}
            tags = {names.ENTRY: ENTRY, names.DATASET: settings.dataset, **of}
            name = original.tags[names.RUN_NAME]
            about = _description(original, noted)
            recorded_as = replace(options, run=original.id)
            with launch(ENTRY, f"{name} again ({ENTRY} on {settings.dataset})", tags, recorded_as, about) as parent:
                job = Job(name, settings, tags=row_tags(settings) | of)
                then = partial(_conclude, parent)
                fan_out(parent, experiment.name, [job], experiment.work, context, 1, experiment.main, then=then)
    if parent.tags.get(names.REPRODUCTION) == DIFFERENT:
        raise FailedRunsError(
            f"{name} is not reproduced: the metrics of run {original.id[:SHORT]} differ, see the table"
        )


@dataclass(frozen=True)
class Comparison:
    """The run of a row and the one that repeats it.

    Attributes:
        original, repeated: the two runs.
        agreed: agreement of each metric.
        judged: metrics that are judged even where the same bits are not required.
        measure: what the verdict is by, in words.
    """

    original: Run
    repeated: Run
    agreed: Sequence[Agreement]
    judged: Sequence[str]
    measure: str

    @property
    def verdict(self) -> str:
        """How the two agree, see agreement.overall."""
        return agreement.overall(self.agreed)


def compare(parent: Run) -> Comparison | None:
    """Compare the run of a launch of this command with the earlier one, and record the verdict on both.

    Returns:
        The comparison; None if the run has not finished.

    Raises:
        AwayError: the tracking server is away.
    """
    require_all(parent)
    repeated = next((each for each in parent.children() if each.status == FINISHED), None)
    if repeated is None:
        return None
    original = Run(parent.tags[names.REPRODUCES])
    found = _compared(original, repeated)
    log_table(parent, agreement.frame(found.agreed), names.AGREEMENT)
    about = f"**{found.verdict}**, judged {found.measure}\n\n{parent.tags[names.DESCRIPTION]}"
    parent.set_tags({names.REPRODUCTION: found.verdict, names.DESCRIPTION: about})
    repeated.set_tags({names.REPRODUCTION: found.verdict})
    original.set_tags({names.REPRODUCED_BY: repeated.id, names.REPRODUCED: found.verdict})
    for run in (original, repeated):
        run.hand_over()
    return found


def _compared(original: Run, repeated: Run) -> Comparison:
    then, now = original.record.read(), repeated.record.read()
    experiment = experiment_of(then.tags[names.ENTRY])
    judged = [metric for metric in experiment.metrics if not names.is_of_the_moment(metric)]
    seeds = _seeds(original)
    agreed = agreement.agreements(then, now, judged, seeds)
    return Comparison(original, repeated, agreed, judged, agreement.measure(agreement.is_exact(then, now), len(seeds)))


def _seeds(original: Run) -> list[Mapping[str, float]]:
    """Metrics of the row of a run, from the same code and data, for each of its seeds: of the first run of a seed."""
    state = original.record.read()
    alike = (names.ENTRY, names.CODE, names.DATA_DIGEST)
    if not {*alike} <= state.tags.keys():
        return []
    found: dict[str, Mapping[str, float]] = {}
    for run in Run.search(" and ".join(f"tags.{tag} = '{state.tags[tag]}'" for tag in alike)):
        other = run.record.known()
        if (
            other.status == FINISHED
            and names.ROW in other.tags
            and names.REPRODUCES not in other.tags
            and _but_seed(other.params) == _but_seed(state.params)
        ):
            found.setdefault(other.params[names.SEED], other.metrics)
    return list(found.values())


def _but_seed(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if name not in (names.SEED, "device", "precision")}


def _conclude(parent: Run) -> None:
    """Compare the two runs, and show how they agree; if the tracking server is away, `replay` compares them later."""
    try:
        found = compare(parent)
    except AwayError:
        put_off_summary(parent, ENTRY)
        return
    if found:
        title = f"{parent.tags[names.RUN_NAME]}: run {found.original.id[:SHORT]} then, {found.repeated.id[:SHORT]} now"
        drawn = screen.draw([agreement.table(found.agreed, found.judged, title)], screen.screen())
        command = hint(f"python -m analysis diff {found.original.id[:SHORT]} {found.repeated.id[:SHORT]}")
        conclude(f"\n{drawn}\nverdict   {found.verdict}, judged {found.measure}\n{pointers(parent, command)}")


def _original(given: str) -> Run:
    """The finished run of a row that is meant.

    Raises:
        UserError: there is none, or it is another run.
    """
    if not given:
        raise UserError(f"give the run of a row: its id, first digits or name; {hint('python -m analysis runs')}")
    found = Run.meant(given, f"tags.{names.ROW} LIKE '%' and attributes.status = '{FINISHED}'")
    tags = found.tags
    if names.ROW not in tags or tags.get(names.ENTRY) not in ENTRIES:
        rows = [f"{row.id[:SHORT]} ({row.tags[names.RUN_NAME]})" for row in found.children() if names.ROW in row.tags]
        if rows:
            raise UserError(f"run={given}: it is a launch; give one of its rows: {', '.join(rows)}")
        raise UserError(f"run={given}: it is no run of a row of {', '.join(ENTRIES)}")
    if found.status != FINISHED:
        raise UserError(f"run={given}: it is {found.status}, and only a run that has finished can be compared with")
    return found


def _settings(original: Run, experiment: Experiment[Any, Any]) -> Settings:
    """The settings that a run has logged.

    Raises:
        UserError: they are not those that the present code has.
    """
    try:
        return experiment.read({name: _plain(text) for name, text in original.params.items()})
    except UserError as error:
        commit = original.tags.get(names.COMMIT, "that it was made with")
        raise UserError(
            f"run={original.id}: its settings are not those of this version ({error}): take the code of commit {commit}"
        ) from error


def _plain(text: str) -> object:
    """The value of a logged setting: lists and mappings are as Python writes them, others are read by their type."""
    if text.startswith(("[", "{")):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text)
    return text


def _here(settings: Settings) -> Settings:
    """The settings with a device that there is on this machine."""
    device = settings.params().get("device")
    if device is None:
        return settings
    try:
        available_device(device)
    except UserError:
        return changed(settings, device=available_device("auto"))
    return settings


def _require_same_data(original: Run, settings: Settings, kind: str, data_dir: str) -> None:
    now = digest_of(settings.dataset, kind, data_dir)
    then = original.tags.get(names.DATA_DIGEST, now)
    if then != now:
        raise UserError(
            f"run={original.id}: it was made from other data: {settings.dataset} had the digest {then[:12]}, in "
            f"{data_dir} it has {now[:12]}"
        )


def _differences(original: Run, recorded: Settings, settings: Settings) -> list[str]:
    """What differs between a run and one that is made here and now, a line each."""
    now = provenance.tags()
    lines = [f"{tag}: {what}" for tag, what in provenance.differences(original.tags, now).items()]
    code = provenance.other_code(original.tags, now)
    devices = [each.params().get("device") for each in (recorded, settings)]
    device = f"device: {devices[0]} then, {devices[1]} now, as the former is not here"
    return [*([code] if code else []), *lines, *([device] if devices[0] != devices[1] else [])]


def _description(original: Run, noted: Sequence[str]) -> str:
    differing = "\n".join(f"- {line}" for line in noted)
    return f"Repeats run {original.id}, `{original.tags[names.RUN_NAME]}`, with its settings." + (
        f"\n\nThen and now differ in:\n\n{differing}" if noted else ""
    )
