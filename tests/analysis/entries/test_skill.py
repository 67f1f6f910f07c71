"""The table of where the best forecaster errs, by hand."""

import pandas as pd

from analysis.entries.skill import skill


def errors(hour: float, saturday: float, persistence: float = 0.8) -> pd.DataFrame:
    lines = [("hour", "00", 10, hour, persistence), ("weekday", "Sat", 1234, saturday, persistence)]
    return pd.DataFrame(lines, columns=["by", "group", "targets", "smape_report", "persistence"])


def test_the_best_row_stands_beside_persistence_and_the_reference():
    table = skill({"gru-2": errors(0.3, 0.1), "gru-3": errors(0.2, 0.4), "linear": errors(0.1, 0.5)}, "linear")
    assert table.header == ("targets of", "number", "gru-3", "persistence", "skill", "linear", "skill")
    # 1 - 0.4 / 0.8 and 1 - 0.4 / 0.5; the hours are in the figure.
    assert table.lines == [("weekday Sat", "1,234", "0.4000", "0.8000", "0.500", "0.5000", "0.200")]


def test_a_group_without_an_error_to_compare_with_has_no_skill():
    table = skill({"gru-2": errors(0.3, 0.1, 0.0), "linear": errors(0.1, 0.5)[:1]}, "linear")
    assert table.lines == [("weekday Sat", "1,234", "0.1000", "0.0000", "–", "–", "–")]


def test_there_is_no_table_without_the_reference_or_another_row():
    assert skill({"gru-2": errors(0.3, 0.1)}, "linear") is None
    assert skill({"linear": errors(0.3, 0.1)}, "linear") is None
