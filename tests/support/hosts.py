"""Whether commands can run on hosts of several names here, as support.on_host has them do."""

import shutil
import subprocess

import pytest


def _may_be_named() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--uts", "hostname", "other"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


hosts = pytest.mark.skipif(not _may_be_named(), reason="hosts may not be named here")
