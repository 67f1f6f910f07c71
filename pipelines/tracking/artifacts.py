"""Artifacts of a run: figures, tables, arrays, JSON and tensors; and the data sets that it read."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException

from pipelines.common import addresses
from pipelines.common.origins import Origin
from pipelines.errors import AwayError, UserError
from pipelines.tracking.outage import reason
from pipelines.tracking.outbox import ARTIFACT, DATASET, ArtifactContent, DatasetContent
from pipelines.tracking.run import Run


def log_figure(run: Run, figure: Figure, path: str) -> None:
    """Log a figure under the artifact path `path`."""
    log_file(run, path, figure.savefig)


def log_table(run: Run, table: pd.DataFrame, path: str) -> None:
    """Log a table as CSV."""
    text = table.map(addresses.redacted_data).to_csv(index=False)
    log_file(run, path, lambda file: file.write_text(text, "utf-8"))


def log_columns(run: Run, table: pd.DataFrame, path: str) -> None:
    """Log a long table as Parquet, in the types that it has, small: floats byte by byte, times by their differences."""
    kinds = {
        str(name): "BYTE_STREAM_SPLIT" if kind.kind == "f" else "DELTA_BINARY_PACKED"
        for name, kind in table.dtypes.items()
        if kind.kind in "fM"
    }
    others = [str(name) for name in table if name not in kinds]
    log_file(
        run,
        path,
        lambda file: table.to_parquet(
            file, compression="zstd", index=False, use_dictionary=others, column_encoding=kinds
        ),
    )


def read_columns(run: Run, path: str) -> pd.DataFrame | None:
    """Returns a table that `log_columns` logged before, or None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = download(run, path, folder)
        return pd.read_parquet(file) if file else None


def read_table(run: Run, path: str) -> pd.DataFrame | None:
    """Returns a table that was logged before, or None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = download(run, path, folder)
        return pd.read_csv(file) if file else None


def log_array(run: Run, array: np.ndarray, path: str) -> None:
    """Log an array as .npy."""
    log_file(run, path, lambda file: np.save(file, array))


def log_text(run: Run, text: str, path: str) -> None:
    """Log a text."""
    log_file(run, path, lambda file: file.write_text(addresses.redacted(text), "utf-8"))


def log_json(run: Run, value: Any, path: str) -> None:
    """Log plain data as JSON."""
    text = json.dumps(addresses.redacted_data(value), indent=2) + "\n"
    log_file(run, path, lambda file: file.write_text(text, "utf-8"))


def read_json(run: Run, path: str) -> Any:
    """Returns the data that `log_json` wrote, or None if there is none.

    Raises:
        UserError: the artifact is not JSON.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = download(run, path, folder)
        try:
            return file and json.loads(file.read_bytes())
        except ValueError as error:
            raise UserError(f"run {run.id}: its artifact {path} is damaged, it is no JSON") from error


def log_file(run: Run, path: str, write: Callable[[Path], Any]) -> None:
    """Log a file that `write` writes, under the artifact path `path`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(path).name
        write(file)
        where = str(Path(path).parent).removeprefix(".")
        run.delivery.send(ARTIFACT, ArtifactContent(folder=where), file, path)


def download(run: Run, path: str, folder: str) -> Path | None:
    """Download an artifact to `folder`; returns the path of the copy, or None if there is no such artifact.

    Raises:
        AwayError: the server does not answer.
    """
    try:
        return Path(run.client.download_artifacts(run.id, path, folder))
    except (MlflowException, OSError) as error:
        if run.delivery.answers():
            return None
        raise AwayError(f"run {run.id}: the tracking server is away ({reason(error)})") from error


def log_dataset(run: Run, name: str, digest: str, origin: Origin, shape: tuple[int, ...], context: str) -> None:
    """Record that the run read a part of a data set, and the files that the data were prepared from.

    MLflow keeps one entry for a name and digest, whatever the context, shape and source. So each part has a digest of
    its own, see `Origin.part`.
    """
    kind, source = origin.source
    content = DatasetContent(
        name=name,
        digest=origin.part(digest, context, shape[0]),
        source=source,
        source_type=kind,
        profile=origin.profile(shape),
        context=context,
    )
    run.delivery.send(DATASET, content)


def log_tensors(run: Run, tensors: Mapping[str, torch.Tensor], path: str) -> str:
    """Log tensors as a safetensors file; returns its SHA-256, hexadecimal."""
    raw = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    log_file(run, path, lambda file: file.write_bytes(raw))
    return hashlib.sha256(raw).hexdigest()
