"""Golden masters: behaviour of the project recorded as JSON, and how its present behaviour differs."""

import csv
import hashlib
import json
import platform
import re
from pathlib import Path
from typing import Any

import click
import matplotlib

from support.launches import without_progress

Json = Any  # what json.load gives

# Tags and parameters of the moment or the machine.
_MASKED_TAGS = {
    *("mlflow.user", "mlflow.source.git.commit", "mlflow.source.git.dirty", "code_digest"),
    *(
        "python",
        "torch",
        "numpy",
        "scikit-learn",
        "cpu",
        "isa",
        "cores",
        "host",
        "pid",
        "process_start",
        "process_ticks",
        "boot_id",
    ),
    *("pid_namespace", "machine_id", "checkpoint", "claim", "mlflow.log-model.history"),
}
_MASKED_PARAMS = {"sha256"}
_MASK = "(masked)"
# Files that hold times or ids.
_MASKED_FILES = re.compile(r"tables/(comparison|trials)\.csv|checkpoint/.*")

# Metrics of time and memory; the others depend on the instruction set and the version of torch alone.
_COST = re.compile(r".*(_time_s|_per_s|_mb|cpu_s|energy_j)(\..*)?")

# Of what is printed: the best run, the mark of the best row, widths of columns, numbers, times.
_PRINTED = (
    (r"(?<=^best run  ).*?, run [0-9a-f]{8}", "(run)"),
    (r"^\* |^  (?=\S)", ""),
    (r"  +|─+", "  "),
    (r"\d+([.,:]\d+)*", "#"),
    (r"(#|<number>) (s|min|h)\b", "(time)"),
)

_PATH = re.compile(r"/[^\s'\"]*/[^\s'\"]*")


def differences(recorded: Json, found: Json, place: str = "") -> list[str]:
    """The differences between two JSON values, a line each that names where it is."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        lines = []
        for key in sorted(recorded.keys() | found.keys()):
            here = f"{place} > {key}" if place else key
            if key not in found:
                lines.append(f"{here}: is gone; recorded: {recorded[key]!r:.300}")
            elif key not in recorded:
                lines.append(f"{here}: is new: {found[key]!r:.300}")
            else:
                lines += differences(recorded[key], found[key], here)
        return lines
    if isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        pairs = enumerate(zip(recorded, found, strict=True))
        return [line for index, (left, right) in pairs for line in differences(left, right, f"{place}[{index}]")]
    return [] if recorded == found else [f"{place}:\n    recorded {recorded!r}\n    found    {found!r}"]


def compare(path: Path, found: Json, rewrite: bool) -> None:
    """Requires that `found` equals the content of `path`, or with `rewrite` writes it there."""
    found = json.loads(json.dumps(found))
    if rewrite:
        write(path, found)
    lines = differences(json.loads(path.read_text()), found)
    assert not lines, "\n".join([f"{len(lines)} differences from {path.name}:", *lines])


def write(path: Path, found: Json) -> None:
    path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


# Commands.

_PROBES = (
    *("", "0", "1", "-1", "0.5", "1001", "1000001", "16777217", "4294967296", "nan", "true", "x", "\0"),
    *("auto", "sample", "cuda:1", "16,24,32", "10,9", "a, b"),
)


def _converted(option: click.Parameter, text: str, context: click.Context) -> str:
    """The value that the type of `option` converts a text to, or its error."""
    try:
        value = option.type.convert(text, option, context)
    except click.UsageError as error:
        return f"error: {error.format_message()}"
    return repr(list(value) if isinstance(value, list | tuple) else value)


def parameter(option: click.Parameter, context: click.Context) -> Json:
    """An option or argument as users meet it; of the converted probes only those that differ from their text."""
    shown = context.command.get_help(context)
    return {
        "kind": option.param_type_name,
        "flags": [*option.opts, *option.secondary_opts],
        "type": option.type.name,
        "metavar": option.make_metavar(context),
        "values": {text: value for text in _PROBES if (value := _converted(option, text, context)) != repr(text)},
        "default": repr(option.get_default(context)),
        "required": option.required,
        "multiple": option.multiple,
        "nargs": option.nargs,
        "is_flag": getattr(option, "is_flag", False),
        "help": getattr(option, "help", None),
        "hidden": getattr(option, "hidden", False) or option.opts[-1] not in shown,
    }


def command(program: str, found: click.Command) -> Json:
    """The help of a command, its parameters, and their values where none is given."""
    context = click.Context(found, info_name=f"python -m {program} {found.name}", show_default=True, terminal_width=120)
    try:
        with found.make_context(found.name, []) as parsed:
            defaults = {name: repr(value) for name, value in parsed.params.items()}
    except click.UsageError as error:
        defaults = {"error": error.format_message()}
    return {
        "help": found.get_help(context).splitlines(),
        "parameters": {each.name: parameter(each, context) for each in found.params},
        "order": [each.name for each in found.params],
        "defaults": defaults,
    }


# Launches.


def launch(place: Any, others: set[str]) -> Json:
    """The runs in `place` but for those with an id in `others`: name to facts, and name to values that may vary.

    Returns:
        "runs", which are the same on every machine, and "values", which depend on instruction set and version of torch.
    """
    experiments = {each.experiment_id: each.name for each in place.client.search_experiments()}
    runs = {run.info.run_id: run for run in place.client.search_runs(list(experiments))}
    named = {run_id: run.info.run_name for run_id, run in runs.items()}
    facts, values = {}, {}
    for run_id, run in runs.items():
        if run_id in others:
            continue
        name = run.info.run_name
        assert name not in facts, f"two runs are called {name}"
        histories = {metric: place.history(run, metric) for metric in run.data.metrics}
        params, paths = run.data.params, sorted(_paths(place.client, run_id))
        # Which trial was the best depends on the machine.
        found = {
            key: value
            for key, value in params.items()
            if key in _MASKED_PARAMS or key.startswith("best_") or name.startswith("tuned-")
        }
        facts[name] = {
            "experiment": experiments[run.info.experiment_id],
            "status": run.info.status,
            "tags": {key: _tag(key, value, named) for key, value in run.data.tags.items()},
            "params": {key: _MASK if key in found else value for key, value in params.items()},
            "metrics": {metric: [step for step, _ in history] for metric, history in histories.items()},
            "artifacts": {path: _content(place, run, path) for path in paths},
            "inputs": sorted(_inputs(run), key=str),
            "models": [_model(place, each.model_id) for each in run.outputs.model_outputs],
        }
        values[name] = {
            "params": found,
            "note": _PATH.sub("<path>", run.data.tags.get("mlflow.note.content", "")),
            "metrics": {
                metric: [repr(value) for _, value in history]
                for metric, history in histories.items()
                if not _COST.fullmatch(metric)
            },
            "artifacts": {path: _digest(place, run, path) for path in paths if not _MASKED_FILES.fullmatch(path)},
        }
    return {"runs": facts, "values": values}


def machine(place: Any) -> str:
    """What the values of the runs in `place` depend on: processor, instruction set, versions of torch and matplotlib.

    The instruction set alone does not do: two processors with AVX-512 round differently, as MKL has code for each.
    """
    ((isa, version),) = {(run.data.tags["isa"], run.data.tags["torch"]) for run in place.runs().values()}
    return f"{_processor()}, {isa}, torch {version}, matplotlib {matplotlib.__version__}"


def _processor() -> str:
    """Maker, family and model of the processor, as far as the system tells; hypervisors hide the name."""
    try:
        said = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    fields = (re.search(rf"^{field}\s*: (.+)$", said, re.MULTILINE) for field in ("vendor_id", "cpu family", "model"))
    return " ".join(found[1] for found in fields if found) or platform.machine()


def registry(place: Any) -> Json:
    """The registered models with their versions."""
    client = place.client
    names = {run.info.run_id: name for name, run in place.runs().items()}
    return {
        model.name: {
            "description": model.description,
            "tags": model.tags,
            "aliases": model.aliases,
            "versions": [
                {
                    "version": version.version,
                    "run": names.get(version.run_id),
                    "tags": {
                        key: value if key == "compared_on" else _MASK for key, value in sorted(version.tags.items())
                    },
                    "description": masked(version.description or ""),
                }
                for version in client.search_model_versions(f"name='{model.name}'")
            ],
        }
        for model in client.search_registered_models()
    }


def masked(text: str) -> str:
    """A text without what varies between machines: numbers with a decimal point, digests, ids, folders."""
    text = re.sub(r"[+-]?\d[\d,]*\.\d+", "<number>", text)
    text = re.sub(r"\b[0-9a-f]{16,}\b", "<digits>", text)
    return _PATH.sub("<path>", text)


def printed(text: str) -> list[str]:
    """The lines of a text, each once and without what depends on the machine: numbers, ids, times, ranks, widths."""
    lines = [masked(line) for line in without_progress(text) if line.strip("─ ")]
    for what, shown in _PRINTED:
        lines = [re.sub(what, shown, line) for line in lines]
    return sorted(set(lines))


def _tag(key: str, value: str, named: dict[str, str]) -> str:
    if key == "mlflow.parentRunId":
        return named[value]
    if key in _MASKED_TAGS:
        return _MASK
    # Which row or trial was the best depends on the machine.
    value = re.sub(r"^best: [^,\n]*", "best: (a row)", value)
    value = re.sub(r"\| best of .*?\n\n", "(the best trial)\n\n", value, flags=re.DOTALL)
    value = re.sub(r"\| finalist: .*?\n\n", "(the finalists)\n\n", value, flags=re.DOTALL)
    return masked(value) if key == "mlflow.note.content" else value


def _inputs(run: Any) -> list[list[str]]:
    return [
        [each.dataset.name, each.dataset.digest, *sorted(f"{tag.key}={tag.value}" for tag in each.tags)]
        for each in run.inputs.dataset_inputs
    ]


def _model(place: Any, model_id: str) -> Json:
    model = place.client.get_logged_model(model_id)
    return {
        "name": model.name,
        "status": str(model.status),
        "type": model.model_type,
        "tags": {key: _tag(key, value, {}) for key, value in model.tags.items()},
        "metrics": sorted(each.key for each in model.metrics or []),
    }


def _paths(client: Any, run_id: str, folder: str = "") -> list[str]:
    found = []
    for each in client.list_artifacts(run_id, folder or None):
        found += _paths(client, run_id, each.path) if each.is_dir else [each.path]
    return found


def _digest(place: Any, run: Any, path: str) -> str:
    return hashlib.sha256(place.artifact(run, path).read_bytes()).hexdigest()


def _content(place: Any, run: Any, path: str) -> Json:
    """The columns of a table, all of a plan, the keys of another JSON file; None for other files."""
    if path.endswith(".csv"):
        with place.artifact(run, path).open(newline="") as file:
            return next(csv.reader(file))
    if path.endswith(".json"):
        content = json.loads(place.artifact(run, path).read_text())
        if path == "plan.json":
            jobs = content if isinstance(content, list) else []
            for job in jobs:
                job["settings"] |= dict.fromkeys(_MASKED_PARAMS & job["settings"].keys(), _MASK)
            return content
        return sorted(content) if isinstance(content, dict) else None
    return None
