"""Published weights: recognised among the user's files, and downloaded."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from support.weights import REAL_DIGESTS, archive, kept, refusal, saved, source_of

from pipelines.experiments.resnet import published
from pipelines.experiments.resnet.find import find


@pytest.mark.parametrize(
    ("file", "accuracy"),
    [("resnet20-12fca82f.th", 91.73), ("resnet32-d509ac18.th", 92.63), ("resnet56-4bfd9763.th", 93.39)],
)
def test_the_published_files_are_recognised(real_weights, data_dir, file, accuracy):
    model = file.partition("-")[0]
    for given in (real_weights / file, real_weights):
        found = find(model, str(given), data_dir)
        assert found.sha256 == REAL_DIGESTS[file]
        assert found.origin == f"akamaster, {real_weights / file}"
        assert (found.shortcut, found.dialect) == ("A", "akamaster, module., state_dict")
        assert (found.mean, found.published) == ((0.485, 0.456, 0.406), accuracy)


@pytest.mark.parametrize("digits", [64, 8])
def test_a_file_of_a_known_source_is_recognised_by_its_digest(put, data_dir, big, monkeypatch, digits):
    raw = saved(big)
    digest = hashlib.sha256(raw).hexdigest()[:digits]
    monkeypatch.setattr(published, "SOURCES", (source_of(raw, sha256=digest),))
    found = find("resnet18", put("renamed.pt", raw), data_dir)
    assert (found.stem, found.published, found.origin.partition(",")[0]) == ("pool", 91.5, "somebody")
    assert found.deviation == (0.2471, 0.2435, 0.2616)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_file_without_a_digest_is_known_by_one_beside_it(data_dir, tmp_path, put, big, monkeypatch, unpacked):
    members = {"resnet18.pt": saved(big), "resnet34.pt": b"of which the digest is known"}
    rows = (
        source_of(b"", sha256="", file="state_dicts.zip", member="resnet18.pt"),
        source_of(members["resnet34.pt"], "resnet34", file="state_dicts.zip", member="resnet34.pt"),
    )
    monkeypatch.setattr(published, "SOURCES", rows)
    if unpacked:
        given = str(Path(put("states/resnet34.pt", members["resnet34.pt"])).parent)
        put("states/resnet18.pt", members["resnet18.pt"])
    else:
        given = archive(tmp_path / "state_dicts.zip", members)
    found = find("resnet18", given, data_dir)
    assert (found.stem, found.published) == ("pool", 91.5)
    monkeypatch.setattr(published, "SOURCES", (rows[0], replace(rows[1], sha256="0" * 64)))
    assert "stem=pool|plain" in refusal("resnet18", given, data_dir)


@pytest.mark.parametrize("given", ["somebody", "auto"])
@pytest.mark.parametrize("digits", [64, 8])
def test_a_known_source_is_downloaded_once(publisher, publish, data_dir, small, given, digits):
    raw = saved(small)
    publish(raw, sha256=hashlib.sha256(raw).hexdigest()[:digits])
    for _ in range(2):
        found = find("resnet20", given, data_dir)
        assert found.origin == f"somebody, {data_dir}/weights/somebody-resnet20.pt"
        assert (found.published, found.deviation) == (91.5, (0.2471, 0.2435, 0.2616))
    assert publisher.asked == [("weights", None)]
    assert kept(data_dir / "weights") == ["somebody-resnet20.pt"]


def test_a_download_is_resumed(publisher, publish, data_dir, small, put):
    raw = saved(small)
    publish(raw)
    put("data/weights/somebody-resnet20.pt.part", raw[:1000])
    assert find("resnet20", "somebody", data_dir).sha256 == hashlib.sha256(raw).hexdigest()
    assert publisher.asked == [("weights", "bytes=1000-")]


def test_a_member_of_a_downloaded_archive_is_verified(publisher, publish, data_dir, both, tmp_path):
    raw = Path(archive(tmp_path / "a.zip", {f"x/{name}": both[name] for name in both})).read_bytes()
    digest = hashlib.sha256(both["resnet20.pt"]).hexdigest()
    row = {"file": "state_dicts.zip", "member": "resnet20.pt"}
    publish(raw, **row, sha256="0" * 64)
    line = refusal("resnet20", "auto", data_dir)
    assert f"state_dicts.zip/resnet20.pt: expected sha256 {'0' * 64}, got {digest}" in line
    assert kept(data_dir / "weights") == []
    publish(raw, **row, sha256=digest)
    found = find("resnet20", "auto", data_dir)
    assert found.sha256 == digest
    assert found.origin == f"somebody, {data_dir}/weights/state_dicts.zip/resnet20.pt"
    publish(raw, **row | {"member": "resnet20.th"})
    assert "no resnet20.th in it" in refusal("resnet20", "somebody", data_dir)
    assert kept(data_dir / "weights") == ["state_dicts.zip"], "what was there before stays"


def test_a_source_without_the_model_says_what_it_has(data_dir):
    line = refusal("resnet18", "akamaster", data_dir)
    assert line.startswith(
        "weights=akamaster: it has no resnet18, only resnet20, resnet32, resnet44, resnet56, resnet110"
    )
