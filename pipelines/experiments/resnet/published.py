"""Published weights: those of a model, their download, and what the user's files are recognised by."""

import hashlib
from pathlib import Path

from pipelines.data.files.download import fetch
from pipelines.errors import UserError
from pipelines.experiments.resnet import files
from pipelines.experiments.resnet.files import File
from pipelines.experiments.resnet.sources import SOURCES, Source


def publishers() -> list[str]:
    """Names of the known sources, each once."""
    return list(dict.fromkeys(source.name for source in SOURCES))


def sources_of(model: str) -> list[Source]:
    """The sources of a model."""
    return [source for source in SOURCES if source.model == model]


def by_preference(model: str) -> list[Source]:
    """The sources of a model, those with a digest first, then the smallest."""
    return sorted(sources_of(model), key=lambda source: (not source.sha256, 0 if source.sha256 else source.megabytes))


def source_of(model: str, publisher: str) -> Source:
    """The source of a model by its publisher.

    Raises:
        UserError: the publisher has no such model.
    """
    source = next((source for source in sources_of(model) if source.name == publisher), None)
    if source is None:
        models = ", ".join(source.model for source in SOURCES if source.name == publisher)
        raise UserError(f"weights={publisher}: it has no {model}, only {models}; give another source, or a file")
    return source


def download(source: Source, path: Path) -> File:
    """Download weights, or the archive with them, to `path`, unless they are there.

    Raises:
        UserError: they cannot be downloaded, or have another digest. That of a member of an archive is not compared.
    """
    # A digest of a member is not that of its archive.
    fetch(source.url, path, "" if source.member else source.sha256)
    return files.member_of(path, source.member) if source.member else files.on_disk(path)


def recognised(model: str, file: File, sha256: str) -> Source | None:
    """Recognise the source of a file by its digest, its name, or the digest of another file of the source beside it."""
    sources = sources_of(model)
    for source in sources:
        if source.sha256 and sha256.startswith(source.sha256):
            return source
    for source in sources:
        if source.member and file.name == source.member and _has_beside(file, source.name):
            return source
        if not source.member and file.name == source.file:
            return source
    return None


def _has_beside(file: File, name: str) -> bool:
    """True if a file beside `file`, in its archive or folder, has a digest that the source `name` publishes."""
    return any(
        hashlib.sha256(file.beside[source.member]()).hexdigest().startswith(source.sha256)
        for source in SOURCES
        if source.name == name and source.sha256 and source.member in file.beside
    )
