"""Properties that the readers and the command line have for any input: inputs drawn at random, and the checks.

Shared by the property tests, which draw the same inputs every time, and by benchmarks/fuzz.py, which draws others.
"""

import atexit
import csv
import io
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import safetensors.torch
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from analysis.__main__ import cli as analysis
from nnmodels.resnet import resnet
from pipelines.__main__ import cli as pipelines
from pipelines.data.energy import pjm
from pipelines.data.energy.reader.format import LoadFormat
from pipelines.data.energy.reader.read import read_load
from pipelines.data.images import cifar10
from pipelines.errors import UserError
from pipelines.experiments.resnet import state_dicts


@dataclass(frozen=True)
class Property:
    """A property of every input that is drawn from `inputs` or `mutated` from `seeds`.

    `holds` returns whether the input was accepted; it raises an AssertionError where the property fails, and lets pass
    any exception of a reader that is not documented. `seeds` are valid inputs as bytes.
    """

    name: str
    inputs: SearchStrategy[Any]
    holds: Callable[[Any], bool]
    seeds: Callable[[], list[bytes]] = list


def mutated(seeds: list[bytes]) -> SearchStrategy[bytes]:
    """Draws a valid input with up to four places where bytes are replaced, inserted, removed or repeated."""

    def change(raw: bytes, changes: list[tuple[str, float, bytes, int]]) -> bytes:
        for kind, place, new, length in changes:
            at = int(place * len(raw))
            after = at if kind == "insert" else at + (length if kind in ("cut", "repeat") else len(new))
            middle = raw[at:after] * 2 if kind == "repeat" else b"" if kind == "cut" else new
            raw = raw[:at] + middle + raw[after:]
        return raw

    one = st.tuples(
        st.sampled_from(["replace", "insert", "cut", "repeat"]),
        st.floats(0, 1, exclude_max=True) | st.floats(0, 0.01),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from([b"\n", b",", b'"', b"\xff", b"\0", b"\r", b"\xef\xbb\xbf"]),
        st.integers(1, 200),
    )
    return st.builds(change, st.sampled_from(seeds), st.lists(one, min_size=1, max_size=4))


def refused(read: Callable[[], Any], where: str, longest: int = 600) -> tuple[Any, str]:
    """The result of `read` and ``""``, or None and the text of a UserError: one line that begins with `where`."""
    try:
        return read(), ""
    except UserError as error:
        line = str(error)
    assert line.startswith(where), line
    assert "\n" not in line, line
    assert len(line) < longest, line
    return None, line


# The PJM files.

START = datetime(2017, 1, 1)
HEADER = "Datetime,AEP_MW"


def plain_lines() -> list[str]:
    hours = (START + timedelta(hours=hour) for hour in range(pjm.MIN_ROWS))
    return [HEADER, *(f"{hour:%Y-%m-%d %H:%M:%S},{13000 + number}.0" for number, hour in enumerate(hours))]


STRICT = re.compile(r"\d{4}-\d\d-\d\d \d\d:00:00,\d+(\.\d+)?", re.ASCII)


def line_read(line: str) -> tuple[datetime, float] | None:
    """The hour and load of a line, read in the simplest way; None where it is not valid."""
    try:
        hour, load = next(csv.reader([line], strict=True))
        moment, value = datetime.strptime(hour, "%Y-%m-%d %H:%M:%S"), float(load)
    except (csv.Error, ValueError, StopIteration):
        return None
    sound = not (moment.minute or moment.second) and 0 <= value <= float(np.finfo(np.float32).max)
    return (moment, value) if sound else None


def loads_hold(raw: bytes) -> bool:
    """An accepted file has the values of its lines; no file of valid lines is refused, and no valid line blamed."""
    table, complaint = refused(lambda: pjm._parse(raw, "AEP", "AEP_hourly.csv"), "AEP_hourly.csv, line ")
    text = raw.decode("utf-8-sig", errors="replace")
    header, *lines = [line for line in io.StringIO(text, newline=None) if line.strip()] or [""]
    read = [line_read(line.rstrip("\n")) for line in lines]
    strict = all(STRICT.fullmatch(line.rstrip("\n")) for line in lines) and header.rstrip("\n") == HEADER
    if table is None:
        assert not (strict and None not in read and len(lines) >= pjm.MIN_ROWS), complaint
        blamed = int(complaint.split("line ")[1].split(":")[0])
        assert 1 <= blamed <= raw.count(b"\n") + 1
        if "is not a full hour" in complaint or "is not a finite number" in complaint:
            line = list(io.StringIO(text))[blamed - 1].rstrip("\r\n")
            assert not (STRICT.fullmatch(line) and line_read(line)), (complaint, line)
        return False
    times, loads = table
    assert next(csv.reader([header])) == HEADER.split(",")
    assert None not in read
    assert times.tolist() == [moment for moment, _ in read]
    np.testing.assert_allclose(loads, [load for _, load in read], rtol=1e-12)
    assert times.dtype == "datetime64[s]"
    return True


def edited(edits: list[tuple[str, int, str]]) -> bytes:
    lines = plain_lines()
    for kind, place, line in edits:
        place %= len(lines) + 1
        if kind == "insert":
            lines.insert(place, line)
        elif kind == "twice":
            lines[place:place] = lines[place : place + 1]
        elif kind == "cut":
            del lines[place : place + 1]
        else:
            lines[place : place + 1] = [line]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


FULL_HOURS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: f"{moment:%Y-%m-%d %H}:00:00")
HOURS = st.one_of(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}"),
    st.sampled_from(["2017-02-29 00:00:00", "2017-01-01T00:00:00", "2017-1-1 0:00:00", "01/02/2017 00:00", "", "NaT"]),
    st.text(max_size=20),
)
LOADS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["", "nan", "-1", "1e39", "inf", "1,5", "1_000", "0x10", "٣", " 7 ", "1e", "NULL", "true", "1d3"]),
    st.text(max_size=12),
)
# One thing wrong in most, so that each check stands alone.
LINES = st.one_of(
    st.builds("{},{}".format, FULL_HOURS, LOADS),
    st.builds("{},{}".format, HOURS, st.integers(0, 99999)),
    st.builds("{},{}".format, FULL_HOURS | HOURS, LOADS),
    st.text(max_size=40) | st.sampled_from([HEADER, "", '"', "a,b,c"]),
)
EDITS = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "twice", "cut"]), st.integers(0, 120), LINES), max_size=3
)


def load_files() -> list[bytes]:
    text = "\n".join(plain_lines())
    return [text.encode(), text.replace("\n", "\r\n").encode(), ("\ufeff" + text + "\n").encode()]


# Tables of load in any form.


def tables_hold(raw: bytes) -> bool:
    """An accepted table gives finite loads at ordered hours; every refusal names the file."""
    path = _scratch() / "town.csv"
    path.write_bytes(raw)
    tables, complaint = refused(lambda: read_load(path, LoadFormat()), "", longest=2000)
    if tables is None:
        assert complaint.removeprefix(f"{path.parent}/").startswith("town.csv"), complaint
        assert complaint.isprintable(), complaint
        return False
    for series in tables.series:
        assert len(series.times) == len(series.load) == series.counts["rows"] > 0
        assert not (series.times.astype(np.int64) % 3600).any()
        assert (np.diff(series.times.astype(np.int64)) >= 0).all()
        assert np.isfinite(series.load).all()
    return True


@cache
def _scratch() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="load")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def tables() -> list[bytes]:
    """Tables of three days in several forms."""
    hours = [START + timedelta(days=20, hours=hour) for hour in range(72)]
    german = [f"{hour:%d.%m.%Y};{hour.hour + 1};{hour.hour * 123},25;n/a" for hour in hours]
    aware = [f"{hour:%Y-%m-%dT%H:%M:%S}+01:00\t{900 + hour.hour}" for hour in hours]
    named = [f"{hour:%m/%d/%y %I:%M %p},{zone},{hour.hour}.5" for hour in hours for zone in ("north", "south")]
    halves = [f"{hour:%Y%m%d}{hour.hour:02d}{half} {hour.hour}" for hour in hours for half in ("00", "30")]
    return [
        "\r\n".join(["Netz Köln", "Datum;Stunde;Last [kW];Temp", *german]).encode("latin-1"),
        "\n".join(["time\tload", *aware, ""]).encode("utf-16"),
        "\n".join(["Hour Ending,Zone,MW", *named]).encode("utf-8-sig"),
        "\n".join(halves).encode(),
    ]


# The CIFAR-10 files.

RECORDS = 20  # of the files here: the official ones have 10,000


def pixels_hold(raw: bytes) -> bool:
    """A file is accepted only with the required number of records, with labels 0-9 and nothing else."""
    with mock.patch.object(cifar10, "RECORDS", RECORDS):
        parsed, _ = refused(lambda: cifar10._parse(raw, "data_batch_1.bin"), "data_batch_1.bin, ")
    records = [raw[at : at + 3073] for at in range(0, len(raw), 3073)]
    sound = len(raw) == RECORDS * 3073 and all(record[0] <= 9 for record in records)
    assert (parsed is not None) == sound
    if parsed is not None:
        labels, images = parsed
        assert labels.tolist() == [record[0] for record in records]
        assert images.shape == (RECORDS, 3, 32, 32)
        assert images.tobytes() == b"".join(record[1:] for record in records)
    return sound


def image_files() -> list[bytes]:
    rng = np.random.default_rng(0)
    records = [bytes([number % 10]) + rng.bytes(3072) for number in range(RECORDS)]
    return [b"".join(records)]


def relabelled(labels: list[int], length: int) -> bytes:
    (raw,) = image_files()
    records = [bytes([label]) + raw[at * 3073 + 1 : (at + 1) * 3073] for at, label in enumerate(labels)]
    return b"".join(records) + bytes(max(0, length)) if length >= 0 else b"".join(records)[:length]


PIXELS = st.builds(
    relabelled,
    st.one_of(
        st.lists(st.integers(0, 9), min_size=RECORDS, max_size=RECORDS),
        st.lists(st.integers(0, 10), min_size=RECORDS, max_size=RECORDS),
        st.lists(st.integers(0, 255), min_size=RECORDS - 1, max_size=RECORDS + 1),
    ),
    st.just(0) | st.integers(-4000, 4000),
)


# State dicts.

MODEL = "resnet20"


@cache
def sound_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {key: value.clone() for key, value in resnet(MODEL, shortcut="A").state_dict().items()}


def saved(state: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def state_files() -> list[bytes]:
    return [saved(sound_state()), safetensors.torch.save(sound_state())]


def weights_hold(raw: bytes) -> bool:
    """A state dict is accepted only with all tensors of the network, of finite float32 numbers."""
    read, _ = refused(lambda: state_dicts.read(MODEL, raw, "weights.pth"), "weights.pth")
    if read is None:
        return False
    assert read.tensors.keys() == sound_state().keys()
    for key, value in sound_state().items():
        assert read.tensors[key].shape == value.shape
        assert read.tensors[key].dtype in (torch.float32, torch.int64)
        assert read.tensors[key].isfinite().all()
    return True


TENSORS = st.sampled_from(
    [
        torch.zeros(()),
        torch.zeros(0),
        torch.zeros(10),
        torch.zeros(10, 64),
        torch.full((10,), math.nan),
        torch.zeros(10, dtype=torch.int32),
        torch.zeros(10, dtype=torch.complex64),
        torch.zeros(10, dtype=torch.bfloat16),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(1).expand(10),
        torch.nn.Parameter(torch.ones(10)),
    ]
)
VALUES = st.one_of(
    TENSORS, st.none(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)
KEYS = st.one_of(
    st.sampled_from(
        ["fc.bias", "fc.weight", "conv1.weight", "linear.bias", "module.fc.bias", "bn1.num_batches_tracked"]
    ),
    st.text(max_size=10),
)


def state_of(changes: dict[str, Any], gone: list[str], prefix: str, wrapper: str, aside: dict[str, Any]) -> bytes:
    state = {key: value for key, value in (sound_state() | changes).items() if key not in gone}
    state = {prefix + key: value for key, value in state.items()}
    return saved({wrapper: state, **aside} if wrapper else state | aside)


STATES = st.one_of(
    st.builds(
        state_of,
        st.dictionaries(KEYS, VALUES, max_size=2),
        st.lists(st.sampled_from(["fc.bias", "layer1.0.conv1.weight", "bn1.num_batches_tracked"]), max_size=1),
        st.sampled_from(["", "module.", "_orig_mod.", "module._orig_mod.", "net."]),
        st.sampled_from(["", "state_dict", "model", "net", "state"]),
        st.dictionaries(st.sampled_from(["epoch", "acc", "optimizer", "args", ""]), VALUES, max_size=2),
    ),
    st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2)).map(
        saved
    ),
    st.binary(max_size=200),
)


# Parameters.

OPTIONS = [
    (group, name, parameter)
    for group in (pipelines, analysis)
    for name, command in sorted(group.commands.items())
    for parameter in command.params
    # A callback acts on what it is given.
    if isinstance(parameter, click.Option) and not parameter.is_flag and parameter.callback is None
]
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(["", "nan", "inf", "-inf", "1e999", "-0", "0x10", "1_000", " 7 ", "9" * 30, "9" * 5000, "٣", "²"]),
)
# An argument can hold anything but the byte 0; what is not UTF-8 comes as lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=300)
WORDS = st.sampled_from(
    ["auto", "all", "true", "cpu", "cuda", "cuda:", "cuda:0", "8,32", "32,8", ",", "gru-2", "a/b", "-1", "x" * 300]
)


def parameter_holds(given: tuple[tuple[click.Group, str, click.Option], str]) -> bool:
    """A value is accepted only within the option's range; any other is an error of click, with exit code 2."""
    (group, name, option), text = given
    command = group.commands[name]
    arguments = ["x" for each in command.params if isinstance(each, click.Argument)]
    value, error = None, None
    try:
        with command.make_context(name, [f"{option.opts[0]}={text}", *arguments]) as context:
            value = context.params[option.name]
    except click.ClickException as raised:
        error = raised
    if error is not None:
        assert error.exit_code == 2
        assert option.opts[0] in error.format_message()
        return False
    if isinstance(value, float):
        assert math.isfinite(value)
        assert not isinstance(option.type, click.Choice)
    if isinstance(option.type, click.IntRange):
        assert option.type.min <= value <= (option.type.max or value)
        assert value == int(text)
    elif isinstance(option.type, click.Choice) or isinstance(value, str):
        assert value == text
    return True


PARAMETERS = st.sampled_from(OPTIONS).flatmap(
    lambda option: st.tuples(
        st.just(option),
        st.one_of(
            NUMBERS,
            WORDS,
            TEXTS,
            *([st.sampled_from(list(option[2].type.choices))] if isinstance(option[2].type, click.Choice) else []),
        ),
    )
)

LOAD_CSV = Property("load CSV", EDITS.map(edited) | mutated(load_files()), loads_hold, load_files)
CIFAR = Property("CIFAR-10", PIXELS | mutated(image_files()), pixels_hold, image_files)
STATE_DICT = Property("state dict", STATES | mutated(state_files()), weights_hold, state_files)
PARAMETER = Property("parameters", PARAMETERS, parameter_holds)
LOAD_TABLE = Property("load table", EDITS.map(edited) | mutated(tables()), tables_hold, tables)
PROPERTIES = (LOAD_CSV, LOAD_TABLE, CIFAR, STATE_DICT, PARAMETER)
