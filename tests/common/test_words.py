import pytest

from pipelines.common.words import cut, natural


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


def test_names_that_end_in_a_number_are_in_its_order():
    ordered = ["a1b2", "a1b10", "hidden64", "hidden128", "lr0.002", "lr0.01", "lr1", "trial-9", "trial-10", "x"]
    assert sorted(ordered[5:] + ordered[:5], key=natural) == ordered
