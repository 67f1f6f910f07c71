import pytest

from pipelines.common.words import cut


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "gru-2 hidden=64 lr=0.003 seed11"),
        (31, "gru-2 hidden=64 lr=0.003 seed11"),
        (16, "gru-2 hid…seed11"),
    ],
)
def test_the_seed_of_a_name_is_always_seen(width, shown):
    found = cut("gru-2 hidden=64 lr=0.003 seed11", width)
    assert len(found) <= width
    assert found.endswith("seed11")
    assert found == shown


def test_a_name_without_a_seed_is_cut_at_its_end():
    assert cut("gradient-boosting", 10) == "gradient-…"
    assert cut("gradient-boosting", 10, "~") == "gradient-~"
