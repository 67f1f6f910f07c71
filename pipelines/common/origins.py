"""Origin of a data set: where its files were taken from, with their digests, and how MLflow's entries hold it.

Shared by both halves, so it needs neither torch nor mlflow: `pipelines` writes it, `analysis` finds runs by it.

MLflow's interface shows each value of a profile on a line of its own, by its first 80 characters: a digest has 64.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.common.addresses import redacted

UNKNOWN = "not recorded, as an earlier version prepared the data"

_DIGEST_OF = "SHA-256 of "  # and the file's name: a key of the profile
_LONGEST = 36  # characters of a data set's digest in MLflow


@dataclass(frozen=True)
class Origin:
    """Where the files of a data set were taken from.

    Attributes:
        where: path of a folder or archive, URL, or the package that the data are embedded in; "" if not recorded.
        files: SHA-256, hexadecimal, by the name of the file, without folders; of an archive also its own. Empty if not
            recorded.
    """

    where: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> tuple[str, str]:
        """Type and JSON of the source of an MLflow data set: its interface links to a URL, and prints a path."""
        where = redacted(self.where)
        if where.startswith(("http://", "https://")):
            return "http", json.dumps({"url": where})
        return "local", json.dumps({"uri": where or UNKNOWN})

    def profile(self, shape: Sequence[int]) -> str:
        """JSON of the profile of an MLflow data set of this shape, with the digest of each file."""
        return json.dumps({"shape": shape, **{_DIGEST_OF + redacted(name): each for name, each in self.files.items()}})

    def part(self, digest: str, context: str, items: int) -> str:
        """Digest of a part of the data in MLflow, which keeps one entry for a name and digest, with one source.

        So parts differ in it, as do the same data from other files or another place: it is the beginning of the data's
        `digest`, 4 digits of the origin, the context and the number of items.
        """
        origin = hashlib.sha256(json.dumps([redacted(self.where), sorted(self.files.items())]).encode()).hexdigest()
        end = f"-{origin[:4]}-{context}-{items}"
        return digest[: min(12, _LONGEST - len(end))] + end


def files_of(profile: str | None) -> dict[str, str]:
    """SHA-256 of each file by its name, of an MLflow data set's profile; empty if that has none, whoever wrote it."""
    try:
        values = json.loads(profile or "{}")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {key.removeprefix(_DIGEST_OF): str(each) for key, each in values.items() if key.startswith(_DIGEST_OF)}
