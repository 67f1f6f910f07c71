"""Verified downloads: a file is at its destination complete, with the expected digest, or not at all."""

import hashlib
import os
import time
from functools import partial
from pathlib import Path

import requests

from pipelines.common import locks
from pipelines.common.files import open_part, open_regular, own_size
from pipelines.errors import UserError
from pipelines.terminal.clock import span
from pipelines.terminal.display import doing

CHUNK = 1 << 16  # bytes, the most that a broken connection loses


def fetch(
    url: str,
    destination: str | Path,
    digest: str,
    *,
    algorithm: str = "sha256",
    attempts: int = 3,
    pause: float = 1.0,
    timeout: tuple[float, float] = (5.0, 30.0),
) -> Path:
    """Download `url` to `destination`, unless the file with this digest is there already.

    The body is written to ``<destination>.part``, which a later attempt, or a later run of the same user, resumes. If
    several processes want the same file, one of them downloads it and the others wait.

    Args:
        url: address of the file.
        destination: path of the file; missing folders are created.
        digest: expected digest, hexadecimal; its first digits if no more were published, empty if none was.
        algorithm: name of the digest in hashlib: for some files only an MD5 has been published.
        attempts: number of attempts after a broken connection, a timeout or a 5xx answer.
        pause: seconds before the second attempt, doubled before each further one.
        timeout: seconds to wait for the connection and between two pieces of the body.

    Returns:
        `destination`.

    Raises:
        UserError: host unreachable, refused by the server, disk not writable, or another digest than `digest`; in the
            last case the part is deleted.
    """
    destination = Path(destination)
    part = destination.with_name(f"{destination.name}.part")
    try:
        if _has_digest(destination, digest, algorithm):
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with locks.on_file(Path(f"{destination}.lock"), f"download {destination.name}"):
            # Another process may have downloaded the file while this one waited for the lock.
            if not _has_digest(destination, digest, algorithm):
                _download_persistently(url, part, attempts, pause, timeout)
                _require_digest(url, part, digest, algorithm)
                part.replace(destination)
    except requests.RequestException as error:
        raise UserError(
            f"cannot download {url}: {_reason(error)}; check the network and run the same command again"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot write {destination}: {error.strerror or error}; give a folder with room to write in, "
            f"e.g. --data-dir {Path.home() / 'nn-data'}"
        ) from error
    return destination


def _has_digest(path: Path, digest: str, algorithm: str) -> bool:
    return path.is_file() and _digest(path, algorithm).startswith(digest)


def _digest(path: Path, algorithm: str) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def _require_digest(url: str, part: Path, digest: str, algorithm: str) -> None:
    got = _digest(part, algorithm)
    if not got.startswith(digest):
        part.unlink()
        raise UserError(
            f"{url}: expected {algorithm} {digest}, got {got}; the download is deleted, run the same command again"
        )


def _download_persistently(url: str, part: Path, attempts: int, pause: float, timeout: tuple[float, float]) -> None:
    """Call `_download` until it succeeds, fails `attempts` times, or fails for a reason that a retry cannot change."""
    for attempt in range(attempts):
        try:
            return _download(url, part, timeout)
        except requests.RequestException as error:
            if attempt + 1 == attempts or _is_final(error):
                raise
            time.sleep(pause * 2**attempt)


def _download(url: str, part: Path, timeout: tuple[float, float]) -> None:
    """Append the rest of the body to `part`, and sync it to the disk."""
    have = own_size(part)
    # Identity: a Range counts the bytes sent, which are the file's own only if they are not compressed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the part is complete, or longer than the file: its digest decides
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not response.headers.get("Content-Range", f"bytes {have}-").startswith(f"bytes {have}-"):
            part.unlink()
            raise requests.exceptions.ContentDecodingError("another part than asked for")
        length = int(response.headers.get("Content-Length", 0))
        before = have if resumed else 0
        began, received = time.monotonic(), 0
        with open_part(part, anew=not resumed) as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                received += len(chunk)
                doing(_progress(part.stem, before, received, length, time.monotonic() - began))
            file.flush()
            os.fsync(file.fileno())
        doing("")


def _progress(name: str, before: int, received: int, length: int, seconds: float) -> str:
    """Progress of a download in words.

    Args:
        name: of the file.
        before: bytes that an earlier attempt left.
        received: bytes of this attempt so far.
        length: bytes that this attempt will receive, 0 if the server does not say.
        seconds: since its start.
    """
    rate = received / max(seconds, 1e-3)
    text = f"downloading {name}: {(before + received) / 1e6:.1f}"
    if not length:
        return f"{text} MB, {rate / 1e6:.1f} MB/s"
    left = span((length - received) / rate)
    return f"{text} of {(before + length) / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s, {left} left"


def _is_final(error: requests.RequestException) -> bool:
    """Returns whether the server refused the request for good."""
    busy = (requests.codes.request_timeout, requests.codes.too_many_requests)
    return error.response is not None and error.response.status_code < 500 and error.response.status_code not in busy


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    return type(error).__name__
