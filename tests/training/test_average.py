"""The moving average of the weights, against a loop over the updates."""

import pytest
import torch
from torch import nn

from pipelines.training.average import WeightAverage
from pipelines.training.loop import Progress

PROGRESS = Progress(epochs=1, updates=1)


def moved(decay: float, updates: int) -> tuple[nn.Linear, WeightAverage, float]:
    """A model whose weight was 1, 4, 9 … after its updates, its average, and what that must be."""
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay)
    expected = 0.0
    for update in range(updates):
        with torch.no_grad():
            model.weight.fill_((update + 1) ** 2)
        average.on_update(PROGRESS)
        share = min(decay, (1 + update) / (10 + update))
        expected = share * expected + (1 - share) * (update + 1) ** 2 if update else 1.0
    return model, average, expected


@pytest.mark.parametrize(("decay", "updates"), [(0.5, 3), (0.5, 20), (0.998, 20)])
def test_later_weights_count_more_the_smaller_the_decay(decay, updates):
    model, average, expected = moved(decay, updates)
    with average.used():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == updates**2
    average.take()
    assert model.weight.item() == pytest.approx(expected)


def test_before_the_first_update_the_weights_are_their_own_average():
    model, average, _ = moved(0.9, 0)
    before = model.weight.item()
    with average.used():
        assert model.weight.item() == before


def test_an_error_in_an_evaluation_gives_the_weights_back():
    model, average, _ = moved(0.9, 5)
    with pytest.raises(ZeroDivisionError), average.used():
        raise ZeroDivisionError
    assert model.weight.item() == 25


def test_a_restored_average_goes_on_as_if_nothing_had_been():
    model, average, _ = moved(0.9, 5)
    other, restored, _ = moved(0.9, 0)
    other.load_state_dict(model.state_dict())
    restored.restore(average.state())
    for each, its in ((model, average), (other, restored)):
        with torch.no_grad():
            each.weight.add_(1)
        its.on_update(PROGRESS)
        its.take()
    assert torch.equal(model.weight, other.weight)
