"""A tracking server that is absent or does not answer: named within 15 s, before any run."""

import time

import pytest


@pytest.mark.fault(6)
def test_an_unreachable_server_is_named_in_time(tmp_path, refused):
    began = time.monotonic()
    line = refused(tmp_path, "http://127.0.0.1:9", "--dataset", "sample", "--models", "persistence")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server http://127.0.0.1:9 (" in line
