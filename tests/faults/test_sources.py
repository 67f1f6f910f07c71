"""Published weights from a server that behaves like the real ones: it redirects, resumes, changes its files."""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
import torch
from support.caches import small_cifar10
from support.place import ROOT

from nnmodels.resnet import resnet
from pipelines import names
from pipelines.__main__ import cli
from pipelines.data.files.download import fetch
from pipelines.data.images import cifar10
from pipelines.errors import UserError
from pipelines.experiments.resnet import published
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.sources import Source
from pipelines.launching.jobs import nested

MODELS = ("resnet20", "resnet32", "resnet44")


@pytest.fixture(scope="module")
def states():
    """The bytes of a file of each model; and of a second one, with other weights."""

    def saved(model, seed):
        torch.manual_seed(seed)
        buffer = io.BytesIO()
        torch.save(resnet(model, shortcut="A").state_dict(), buffer)
        return buffer.getvalue()

    return {(model, seed): saved(model, seed) for model in MODELS for seed in (0, 1)}


def sha256(raw):
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture
def publish(publisher, monkeypatch):
    """A function that makes what is on the server the catalogue's sources, in this order."""

    def make(*sources):
        rows = []
        for name, model, raw, own in sources:
            url, digest = publisher.redirected(f"{name}-{model}"), "" if raw is None else sha256(raw)
            row = Source(name, model, url, f"{name}-{model}.pt", 91.5, "plain", "cifar10", "MIT", 1, digest)
            rows.append(replace(row, **own))
            if raw is not None:
                publisher.files.setdefault(rows[-1].url.rpartition("/")[2], raw)
        monkeypatch.setattr(published, "SOURCES", tuple(rows))
        return rows

    return make


def refusal(*arguments):
    with pytest.raises(UserError) as error:
        find(*arguments)
    line = str(error.value)
    assert "\n" not in line
    return line


def names_asked(publisher):
    return [name for name, _ in publisher.asked]


# Downloads.

BODY = bytes(range(256)) * 4000


@pytest.mark.fault(21)
def test_a_part_is_resumed_through_a_redirect(publisher, tmp_path):
    publisher.files["file"] = BODY
    (tmp_path / "file.part").write_bytes(BODY[:1000])
    assert fetch(publisher.redirected("file"), tmp_path / "file", sha256(BODY)).read_bytes() == BODY
    assert publisher.asked == [("file", "bytes=1000-")]


@pytest.mark.fault(21)
def test_an_answer_with_another_range_is_not_appended(publisher, tmp_path):
    publisher.files["file"], publisher.shift = BODY, 10
    (tmp_path / "file.part").write_bytes(BODY[:1000])
    # Without a digest, which would find it out afterwards.
    assert fetch(publisher.redirected("file"), tmp_path / "file", "", pause=0).read_bytes() == BODY
    assert publisher.asked == [("file", "bytes=1000-"), ("file", None)]


@pytest.mark.fault(23)
def test_a_download_that_was_killed_goes_on_where_it_was(publisher, tmp_path):
    publisher.files["file"], publisher.halt_after = BODY, 600_000
    arguments = f"{publisher.redirected('file')!r}, {str(tmp_path / 'file')!r}, {sha256(BODY)!r}"
    code = f"from pipelines.data.files.download import fetch; fetch({arguments})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        assert publisher.halted.wait(60)
        part = tmp_path / "file.part"
        while not part.exists() or part.stat().st_size < 1 << 16:
            assert process.poll() is None
        process.kill()
    have = part.stat().st_size
    assert 0 < have <= 600_000
    assert not (tmp_path / "file").exists()
    assert fetch(publisher.redirected("file"), tmp_path / "file", sha256(BODY)).read_bytes() == BODY
    assert publisher.asked == [("file", None), ("file", f"bytes={have}-")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "file.lock"]


# Which source.


def test_sources_without_a_digest_come_after_the_others_the_smallest_first(publisher, publish, states, tmp_path):
    raw = states["resnet20", 0]
    publish(
        ("large", "resnet20", raw, {"sha256": "", "megabytes": 900}),
        ("small", "resnet20", raw, {"sha256": "", "megabytes": 80}),
        ("gone", "resnet20", None, {"sha256": sha256(raw), "megabytes": 5000}),
    )
    found = find("resnet20", "auto", tmp_path)
    assert names_asked(publisher) == ["gone-resnet20", "small-resnet20"]
    assert found.origin == f"small, {tmp_path}/weights/small-resnet20.pt"
    assert (found.verified, found.published, found.sha256) == (False, 91.5, sha256(raw))
    failed, recorded = found.notes
    assert "HTTP 404" in failed
    file = f"{tmp_path}/weights/small-resnet20.pt"
    assert recorded == (
        f"{file}: no digest of it is published; {sha256(raw)} is required from now on, as {file}.json says"
    )


def test_a_source_with_a_digest_is_verified_and_nothing_recorded(publish, states, tmp_path):
    publish(("one", "resnet20", states["resnet20", 0], {}))
    found = find("resnet20", "auto", tmp_path)
    assert (found.verified, found.notes) == (True, ())
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.fault(22)
def test_after_a_wrong_digest_the_next_source_is_taken(publisher, publish, states, tmp_path):
    raw = states["resnet20", 0]
    publish(
        ("wrong", "resnet20", raw, {"sha256": "0" * 64}),
        ("right", "resnet20", raw, {}),
    )
    found = find("resnet20", "auto", tmp_path)
    assert found.origin.startswith("right, ")
    assert f"expected sha256 {'0' * 64}, got {sha256(raw)}" in found.notes[0]
    assert sorted(path.name for path in (tmp_path / "weights").glob("*.pt*") if path.suffix != ".lock") == [
        "right-resnet20.pt"
    ]


@pytest.mark.fault(22)
def test_where_no_source_is_right_the_line_says_why_of_each(publish, states, tmp_path):
    publish(
        ("wrong", "resnet20", states["resnet20", 0], {"sha256": "0" * 64}),
        ("page", "resnet20", b"<html>sign in</html>", {"sha256": ""}),
    )
    line = refusal("resnet20", "auto", tmp_path)
    assert re.search("expected sha256 0{64}, got .*page-resnet20.pt is damaged.*; or train one: .* pretrain", line)
    assert line.endswith("or give weights=FILE, or weights=wrong|page")
    assert not list((tmp_path / "weights").glob("*.pt"))


# What is recorded.


@pytest.mark.fault(22)
def test_the_digest_of_the_first_download_is_required_next_time(publisher, publish, states, tmp_path):
    (row,) = publish(("some", "resnet20", states["resnet20", 0], {"sha256": ""}))
    file, record = (tmp_path / "weights" / f"some-resnet20.pt{ending}" for ending in ("", ".json"))
    for given in ("auto", "some", str(file)):
        found = find("resnet20", given, tmp_path)
        assert (found.verified, found.published) == (False, 91.5)
    assert json.loads(record.read_text()) == {"some-resnet20.pt": sha256(states["resnet20", 0])}
    file.unlink()
    publisher.files["some-resnet20"] = states["resnet20", 1]
    for given in ("auto", "some"):
        line = refusal("resnet20", given, tmp_path)
        before, now = (sha256(states["resnet20", seed]) for seed in (0, 1))
        assert f"{file}: sha256 was {before} when it was first used, and is {now}; take the first one again" in line
        assert f"delete {record}" in line
        assert not file.exists(), "it would be in the way of the next try"
    record.unlink()
    assert find("resnet20", "auto", tmp_path).sha256 == now
    publisher.files["some-resnet20"] = states["resnet20", 0]
    assert find("resnet20", row.name, tmp_path).sha256 == now, "what is there is not fetched again"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"some-resnet20.pt": 3}', "\0"])
def test_a_record_that_is_none_is_one_line(publish, states, tmp_path, content):
    publish(("some", "resnet20", states["resnet20", 0], {"sha256": ""}))
    record = tmp_path / "weights" / "some-resnet20.pt.json"
    record.parent.mkdir()
    record.write_text(content)
    assert f"{record} is no record of digests; delete it" in refusal("resnet20", "auto", tmp_path)


def test_where_nothing_can_be_recorded_it_is_said(publish, states, tmp_path):
    publish(("some", "resnet20", states["resnet20", 0], {"sha256": ""}))
    (tmp_path / "weights" / "some-resnet20.pt.json").mkdir(parents=True)
    (note,) = find("resnet20", "auto", tmp_path).notes
    assert "its digest cannot be recorded" in note
    assert "a folder, no file" in note


# One archive of all models.


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, raw in members.items():
            archive.writestr(f"state_dicts/{name}", raw)
    return buffer.getvalue()


@pytest.fixture
def archived(publisher, publish, states):
    """An archive of three models, of which the digest of one is known; and a smaller source of another."""
    publisher.files["archive"] = zipped({f"{model}.pt": states[model, 0] for model in MODELS})
    own = {"url": publisher.redirected("archive"), "file": "state_dicts.zip", "megabytes": 900}

    def member(model, digest=""):
        return "all", model, None, own | {"member": f"{model}.pt", "sha256": digest}

    publish(
        member("resnet20", sha256(states["resnet20", 0])),
        member("resnet32"),
        member("resnet44"),
        ("small", "resnet32", states["resnet32", 1], {"sha256": "", "megabytes": 1}),
    )


def test_an_archive_is_downloaded_once_for_all_its_models(publisher, archived, states, tmp_path):
    for _ in range(2):
        found = {model: find(model, "auto", tmp_path) for model in MODELS}
        assert [each.sha256 for each in found.values()] == [sha256(states[model, 0]) for model in MODELS]
        assert [each.verified for each in found.values()] == [True, False, False]
        assert {each.published for each in found.values()} == {91.5}
    assert publisher.asked == [("archive", None)]
    record = json.loads((tmp_path / "weights" / "state_dicts.zip.json").read_text())
    assert record == {f"{model}.pt": sha256(states[model, 0]) for model in MODELS[1:]}


def test_the_smaller_source_comes_before_the_archive(publisher, archived, tmp_path):
    assert find("resnet32", "auto", tmp_path).origin.startswith("small, ")
    assert names_asked(publisher) == ["small-resnet32"]


@pytest.mark.fault(22)
def test_a_member_that_changed_is_refused_and_the_others_stay(publisher, archived, states, tmp_path):
    for model in MODELS:
        find(model, "all", tmp_path)
    archive = tmp_path / "weights" / "state_dicts.zip"
    archive.write_bytes(zipped({f"{model}.pt": states[model, int(model == "resnet44")] for model in MODELS}))
    assert "sha256 was" in refusal("resnet44", "all", tmp_path)
    assert find("resnet32", "all", tmp_path).sha256 == sha256(states["resnet32", 0])
    assert archive.exists(), "it was there before"


# What a run says of it.


@pytest.fixture
def small_images(tmp_path, monkeypatch):
    """A prepared CIFAR-10 of 20 records a file."""
    folder = small_cifar10(tmp_path, monkeypatch)
    cifar10.prepare(tmp_path / "data", source=folder, allow_unverified=True)


@pytest.fixture
def here(monkeypatch):
    """Rows are run within this process, in which the catalogue is another."""

    def fan_out(parent, name, jobs, work, context, parallel, main, more, then, resumable, launcher):
        for job in jobs:
            run = nested(parent, name, job)
            with run.active():
                work(run, job.settings, context)
        then()

    monkeypatch.setattr("pipelines.launching.launch.fan_out", fan_out)


@pytest.mark.medium
def test_a_run_with_weights_of_no_known_digest_is_tagged_and_its_accuracy_checked(
    publish, states, small_images, here, place, at, capsys
):
    publish(("some", "resnet20", states["resnet20", 0], {"sha256": ""}))
    at(place.folder, place.uri)
    cli(["resnet", "--dataset", "cifar10", "--models", "resnet20", "--precision", "fp32"])
    run = place.runs()["resnet20"]
    accuracy = run.data.metrics["test_accuracy"]
    assert accuracy < 50
    tags = run.data.tags
    assert (tags["verified"], tags["weights_verified"], tags["accuracy_check"]) == ("false", "false", "differs")
    described = " ".join(tags[names.DESCRIPTION].split())
    said = f"est accuracy {accuracy:.2f} %, published 91.50 %: {accuracy - 91.5:+.2f} points, more than 3"
    assert said in described
    assert "No digest that was known before says that they are the published ones." in described
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"warning: resnet20: t{said}") for line in lines)
    assert any(line.startswith("resnet20: weights of some, ") for line in lines)
    assert any("no digest of it is published" in line for line in lines)


def test_the_sample_without_weights_says_what_to_do(place, at, capsys):
    at(place.folder, place.uri)
    with pytest.raises(SystemExit) as end:
        cli(["resnet", "--dataset", "sample", "--data-dir", "mine"])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: there are no weights of resnet18,resnet34,resnet50 for sample, and none are published; "
        "train them: python -m pipelines pretrain --dataset sample --models resnet18,resnet34,resnet50 --data-dir mine"
    )
    assert place.runs() == {}
