"""Downloads against a local server that counts what it is asked and can be told to misbehave."""

import hashlib
import subprocess
import sys

import pytest
from support.publisher import Publisher

from pipelines.data.files.download import fetch
from pipelines.errors import UserError

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(publisher):
    """A publisher of BODY that does not name the range that it sends."""
    publisher.files["file.bin"], publisher.names_range = BODY, False
    return publisher


def names(folder):
    """What lies in `folder`, but for the lock, which stays so that waiting processes all see the same file."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_downloads_once_and_never_again(server, tmp_path):
    destination = tmp_path / "new" / "folder" / "file.bin"
    assert fetch(server.url("file.bin"), destination, SHA256) == destination
    fetch(server.url("file.bin"), destination, SHA256)
    assert destination.read_bytes() == BODY
    assert server.asked == [("file.bin", None)]
    assert names(destination.parent) == ["file.bin"]


def test_a_file_that_is_there_is_not_touched_nor_its_folder_written(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(BODY)
    fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256)
    assert server.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_replaces_a_file_of_another_content(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"old")
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256).read_bytes() == BODY


@pytest.mark.fault(21)
def test_resumes_the_part_of_an_earlier_run(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY[:1234])
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256).read_bytes() == BODY
    assert server.asked == [("file.bin", "bytes=1234-")]
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.fault(21)
def test_starts_over_where_the_server_knows_no_ranges(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(BODY[:1234])
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256).read_bytes() == BODY


def test_a_part_that_was_complete_is_taken(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY)
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256).read_bytes() == BODY
    assert server.asked == [("file.bin", f"bytes={len(BODY)}-")]


@pytest.mark.fault(21)
def test_a_truncated_body_is_resumed(server, tmp_path):
    server.cut_after = 200_000
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256, pause=0).read_bytes() == BODY
    (_, first), (_, second) = server.asked
    assert first is None
    assert 100_000 < int(second.removeprefix("bytes=").removesuffix("-")) <= 200_000


@pytest.mark.fault(21)
def test_a_truncated_body_never_stands_at_the_destination(server, tmp_path):
    server.cut_after = 200_000
    with pytest.raises(UserError, match=r"file\.bin.*again"):
        fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256, attempts=1)
    assert names(tmp_path) == ["file.bin.part"]
    assert BODY.startswith((tmp_path / "file.bin.part").read_bytes())


@pytest.mark.fault(22)
def test_a_wrong_hash_names_url_expected_and_got_and_leaves_nothing(server, tmp_path):
    with pytest.raises(UserError) as error:
        fetch(server.url("file.bin"), tmp_path / "file.bin", "0" * 64)
    assert all(part in str(error.value) for part in (server.url("file.bin"), "0" * 64, SHA256))
    assert "\n" not in str(error.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("digits", [0, 8, 63])
def test_the_beginning_of_a_digest_is_enough_where_no_more_was_published(server, tmp_path, digits):
    for _ in range(2):
        assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256[:digits]).read_bytes() == BODY
    assert server.asked == [("file.bin", None)]


@pytest.mark.fault(22)
def test_another_beginning_of_a_digest_leaves_nothing(server, tmp_path):
    # The end of the digest, but not its beginning.
    with pytest.raises(UserError, match=f"expected sha256 {SHA256[-8:]}, got {SHA256}"):
        fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256[-8:])
    assert names(tmp_path) == []


def test_a_digest_of_another_algorithm_is_checked(server, tmp_path):
    # The digest of BODY by the md5sum program.
    published = "1da708a75e25110b1341d16814feb52d"
    destination = tmp_path / "file.bin"
    for _ in range(2):
        assert fetch(server.url("file.bin"), destination, published, algorithm="md5").read_bytes() == BODY
    assert server.asked == [("file.bin", None)]
    with pytest.raises(UserError, match=rf"expected md5 {'0' * 32}, got {published}"):
        fetch(server.url("file.bin"), tmp_path / "other.bin", "0" * 32, algorithm="md5")
    assert names(tmp_path) == ["file.bin"]


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256, pause=0).read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_refusal_is_final(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(UserError, match="HTTP 404"):
        fetch(server.url("file.bin"), tmp_path / "file.bin", SHA256, pause=0)
    assert len(server.asked) == 1


def test_an_unreachable_host_is_one_line(tmp_path):
    with Publisher() as closed:
        url = closed.url("file.bin")
    with pytest.raises(UserError) as error:
        fetch(url, tmp_path / "file.bin", SHA256, pause=0)
    assert url in str(error.value)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == []


def test_a_destination_that_cannot_be_written_is_one_line(server, tmp_path):
    (tmp_path / "folder").write_text("a file stands here")
    with pytest.raises(UserError, match="cannot write"):
        fetch(server.url("file.bin"), tmp_path / "folder" / "file.bin", SHA256)


@pytest.mark.fault(24)
def test_two_processes_download_once(server, tmp_path):
    server.halt_after = 0
    code = f"""
from pipelines.data.files.download import fetch
print("ready", flush=True)
fetch({server.url("file.bin")!r}, {str(tmp_path / "file.bin")!r}, {SHA256!r})
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command) as first:
        assert server.halted.wait(60)
        with subprocess.Popen(command, stdout=subprocess.PIPE) as second:
            second.stdout.readline()  # it is about to fetch, and the first has not been answered yet
            server.gate.set()
            assert (first.wait(60), second.wait(60)) == (0, 0)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert len(server.asked) == 1
