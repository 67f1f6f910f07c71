"""Seeds until the 95 % interval of a row's mean is narrow enough: the interval, and how many seeds come next."""

import math
import statistics

import pytest
from scipy import stats

from pipelines.cli.seeds import MOST
from pipelines.errors import UserError
from pipelines.experiments.ablation.options import AblationOptions
from pipelines.experiments.recurrent.options import RecurrentOptions
from pipelines.launching.intervals import table, wanted, width, width_of

VALUES = [0.2402, 0.2311, 0.2375, 0.2290, 0.2333]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_width_is_that_of_students_interval(count):
    values = VALUES[:count]
    error = statistics.stdev(values) / math.sqrt(count)
    low, high = stats.t.interval(0.95, count - 1, loc=statistics.fmean(values), scale=error)
    assert width(values) == pytest.approx(high - low, rel=1e-12)
    ((row, seeds, mean, *ends, reached, narrow),) = table({"gru-2": values}, 0.01).itertuples(index=False)
    assert (row, seeds, mean) == ("gru-2", count, statistics.fmean(values))
    assert ends == pytest.approx([low, high], rel=1e-12)
    assert (reached, narrow) == (width(values), reached < 0.01)


def test_three_seeds_have_the_quantile_of_the_printed_tables():
    assert width_of(1.0, 3) == pytest.approx(2 * 4.3027 / math.sqrt(3), rel=1e-4)


def test_a_single_value_has_no_interval():
    assert width([0.24]) == math.inf
    assert table({"persistence": [0.8]}, 0.01).empty


@pytest.mark.parametrize(
    ("values", "narrow", "expected"),
    [
        ([1.0, 2.0, 3.0], 5.0, 3),  # 2 * 4.303 / sqrt(3) = 4.97
        ([1.0, 2.0, 3.0], 4.0, 4),  # 2 * 3.182 / sqrt(4) = 3.18
        ([1.0, 2.0, 3.0], 1e-6, 4),  # half as many again at most
        ([1.0, 2.0, 3.0] * 3, 1e-6, 13),
        ([1.0, 2.0, 3.0] * 3, 1.2, 11),  # deviation 0.866: 2 * 2.262 / sqrt(10) = 1.24, 2 * 2.228 / sqrt(11) = 1.16
        ([1.0, 2.0, 3.0] * 9, 1e-6, MOST),
        ([1.0, 2.0, 3.0] * 10, 1e-6, MOST),
        ([1.0, 2.0, 3.0] * 11, 1e-6, 33),
        ([2.0, 2.0, 2.0], 1e-6, 3),
    ],
)
def test_as_many_seeds_come_next_as_the_deviation_asks_for_but_half_as_many_again_at_most(values, narrow, expected):
    assert wanted(values, narrow) == expected


@pytest.mark.parametrize("options", [RecurrentOptions, AblationOptions])
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"seeds": "auto"}, "seeds=auto: say how narrow"),
        ({"seeds": "auto", "width": 0}, "seeds=auto: say how narrow"),
        ({"width": 0.5}, "width=0.5: it is for seeds=auto"),
        ({"seeds": 3, "width": 0.5}, "width=0.5: it is for seeds=auto"),
        ({"seeds": "auto", "width": -1}, "width=-1"),
        ({"seeds": "some"}, "seeds='some'"),
    ],
)
def test_one_is_refused_without_the_other(options, given, fault):
    with pytest.raises(UserError, match=f"^{fault}"):
        options.of(given)
