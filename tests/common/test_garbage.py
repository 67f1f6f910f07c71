"""The collector of cyclic garbage around imports."""

import gc

import pytest

from pipelines.common import garbage


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()


@pytest.mark.parametrize("error", [None, ImportError])
def test_it_is_off_within_the_block_only(error):
    try:
        with garbage.left_alone():
            assert not gc.isenabled()
            if error:
                raise error
    except ImportError:
        pass
    assert gc.isenabled()


def test_what_was_imported_is_never_looked_at():
    with garbage.left_alone():
        imported = {}
    assert not any(each is imported for each in gc.get_objects())
