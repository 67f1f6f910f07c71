"""What is printed where the encoding of a pipe or terminal lacks its characters."""

import io
import json
import sys

import pytest

from analysis.__main__ import cli as analysis
from pipelines.__main__ import cli as pipelines
from pipelines.common import streams


@pytest.fixture
def printed(monkeypatch):
    """A function that takes standard output to an encoding, and one that gives the bytes printed there."""

    def into(encoding: str):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding))

        def given() -> bytes:
            stream.flush()
            return stream.buffer.getvalue()

        return given

    return into


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("ascii", "±", rb"\u00b1"),
        ("cp1252", "± \u2265", b"\xb1 \\u2265"),
        ("ascii", "\U0001f600", rb"\ud83d\ude00"),
        ("utf-8", "\U0001f600 ±", "\U0001f600 ±".encode()),
        ("utf-8", "\udcff", rb"\udcff"),  # an argument that is no text
    ],
)
def test_what_an_encoding_lacks_is_an_escape(printed, encoding, text, expected):
    given = printed(encoding)
    streams.take_any_text()
    print(text, end="")
    assert given() == expected


def test_json_reads_the_escapes(printed):
    given = printed("ascii")
    streams.take_any_text()
    print(json.dumps({"±": "\U0001f600"}, ensure_ascii=False))
    assert json.loads(given()) == {"±": "\U0001f600"}


@pytest.mark.parametrize(("encoding", "can"), [("ascii", False), ("cp1252", False), ("utf-8", True), ("cp437", True)])
def test_whether_a_frame_can_be_printed(printed, encoding, can):
    printed(encoding)
    assert streams.can_print("┌─┐") is can


@pytest.mark.parametrize("cli", [analysis, pipelines])
def test_both_command_lines_print_so(printed, cli):
    printed("ascii")
    with pytest.raises(SystemExit):
        cli(["absent"])
    assert (sys.stdout.errors, sys.stderr.errors) == (streams.HANDLER, streams.HANDLER)
