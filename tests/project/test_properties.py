"""Whatever is put in: the readers and the command line accept what is right, and refuse all else by their own errors.

2,000 examples each, the same ones every time; benchmarks/fuzz.py draws others for as long as it is told.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from support.properties import CIFAR, LOAD_CSV, LOAD_TABLE, PARAMETER, STATE_DICT, Property

EXAMPLES = 2000


def examine(subject: Property) -> Counter[bool]:
    """How many examples were accepted (True) and refused (False)."""
    seen = Counter()

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(subject.inputs)
    def holds(example):
        seen[subject.holds(example)] += 1

    holds()
    return seen


@pytest.mark.medium
# Of an example that fails, a file of many kilobytes.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(LOAD_CSV, marks=pytest.mark.fault(27)),
        LOAD_TABLE,
        pytest.param(CIFAR, marks=pytest.mark.fault(26)),
        pytest.param(STATE_DICT, marks=[pytest.mark.fault(26), pytest.mark.slow]),
        pytest.param(PARAMETER, marks=pytest.mark.fault(5)),
    ],
    ids=lambda subject: subject.name,
)
def test_no_error_but_the_documented_ones(subject):
    seen = examine(subject)
    assert seen.total() >= EXAMPLES
    # Otherwise the inputs would miss one half of what is to be shown.
    assert min(seen[True], seen[False]) >= EXAMPLES / 50, seen
