"""Origin of a data set as MLflow's entries hold it."""

import json

import pytest

from pipelines.common.origins import Origin, files_of

DIGEST = "109d122f7b485555c609eecdec2cd5a03172e0a08acd358d863acc93eb452585"


def test_a_folder_is_a_path_and_an_address_a_link():
    assert Origin("/data/csv").source == ("local", '{"uri": "/data/csv"}')
    assert Origin("https://example.org/a.zip").source == ("http", '{"url": "https://example.org/a.zip"}')
    kind, source = Origin().source
    assert (kind, json.loads(source)["uri"][:12]) == ("local", "not recorded")


def test_no_secret_is_left():
    origin = Origin("https://me:my-secret-password@example.org/a?token=my-secret-token", {"x?token=abcdefgh": DIGEST})
    written = "".join((*origin.source, origin.profile((1, 2))))
    assert "my-secret" not in written
    assert "abcdefgh" not in written


def test_digests_of_files_are_found_again_in_a_profile():
    files = {"AEP_hourly.csv": DIGEST, "shape": "0" * 64}
    profile = Origin("x", files).profile((980185, 90, 5))
    assert json.loads(profile)["shape"] == [980185, 90, 5]
    assert files_of(profile) == files


@pytest.mark.parametrize("profile", [None, "", "null", "[1]", "{", '{"num_rows": 3}', '"SHA-256 of a"'])
def test_a_profile_of_others_has_no_files(profile):
    assert files_of(profile) == {}


@pytest.mark.parametrize(("context", "items"), [("training", 1), ("evaluation", 9_999_999), ("validation", 10**12)])
def test_a_part_is_told_by_data_origin_context_and_size_within_the_length_that_mlflow_takes(context, items):
    origin = Origin("/data", {"a.csv": DIGEST})
    part = origin.part(DIGEST, context, items)
    assert len(part) <= 36
    assert part.startswith(DIGEST[:6])
    assert part.endswith(f"-{context}-{items}")
    others = {
        Origin("/other", origin.files).part(DIGEST, context, items),
        Origin("/data", {"a.csv": "0" * 64}).part(DIGEST, context, items),
        Origin("/data", {"b.csv": DIGEST}).part(DIGEST, context, items),
        Origin("/data", origin.files).part("f" * 64, context, items),
    }
    assert len(others | {part}) == 5
