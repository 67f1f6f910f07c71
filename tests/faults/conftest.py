"""Fixtures of the tests of faults."""

import pytest

from pipelines.__main__ import cli


@pytest.fixture
def refused(capsys, at):
    """Give bad input to the command line within this process: its one line on stderr, with exit code 2."""

    def give(folder, uri, *arguments):
        at(folder, uri)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli(["recurrent", *arguments])
        lines = capsys.readouterr().err.splitlines()
        assert end.value.code == 2
        assert [line[:7] for line in lines] == ["error: "], lines
        return lines[0]

    return give
