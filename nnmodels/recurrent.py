"""Recurrent forecasters of the next hour's load: one class for the six networks of the forecasting report's Table 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from nnmodels.bptt import gru


class RecurrentForecaster(nn.Module):
    """`layers` layers of RNN, LSTM or GRU, then ReLU and a linear layer on the hidden state (the tutorial's head).

    Args:
        cell: a recurrent class of torch.nn: "RNN" (tanh), "LSTM" or "GRU".
        layers: 1 or more.
        hidden: width of each layer's state.
        dropout: probability, between layers, while training.
        inputs: features an hour.

    Parameters with 5 inputs and hidden 256, by hand from torch.nn's matrices, g = 1, 4, 3 gates for RNN, LSTM, GRU:
    g·256·(5 + 256 + 2) for the first layer, g·256·(256 + 256 + 2) for each further one, 257 for the head.

    | row    | parameters | row    | parameters |
    |--------|-----------:|--------|-----------:|
    | gru-2  |    596,993 | gru-3  |    991,745 |
    | lstm-2 |    795,905 | lstm-3 |  1,322,241 |
    | rnn-2  |    199,169 | rnn-3  |    330,753 |
    """

    def __init__(self, cell: str, layers: int, hidden: int, dropout: float = 0.0, inputs: int = 5):
        super().__init__()
        # torch.nn warns of dropout with one layer, where there is nothing between layers to drop.
        self.recurrent = getattr(nn, cell)(inputs, hidden, layers, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Forecasts of the scaled load of the hour after each step from `first` on.

        Args:
            x: scaled features, time first, (T, B, inputs).
            first: first step with a forecast; earlier ones only update the state.

        Returns:
            (T - first, B), float32.
        """
        by_hand = self.training and x.device.type == "cpu" and isinstance(self.recurrent, nn.GRU)
        states = gru(self.recurrent, x) if by_hand else self.recurrent(x)[0]
        with torch.autocast(x.device.type, enabled=False):
            return self.head(F.relu(states[first:].float())).squeeze(-1)

    @torch.no_grad()
    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Fold (x - mean) / std of the inputs into the first layer's weights: another start of the same network.

        After MinMax scaling the features have a mean around 0.5 and standard deviations of 0.2 to 0.3; torch.nn's
        initialisation expects 0 and 1. `mean` and `std` (inputs,) are those of the training part.
        """
        weight, bias = self.recurrent.weight_ih_l0, self.recurrent.bias_ih_l0
        weight.div_(torch.where(std > 0, std, torch.ones_like(std)))
        bias.sub_(weight @ mean)


class StepForecaster(nn.Module):
    """Any network that forecasts after each step, in the form of RecurrentForecaster.

    Args:
        network: takes (T, B, inputs) and gives (T, B), each step by itself and those before it.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Forecasts (T - first, B), float32, of the scaled load of the hour after each step from `first` on."""
        return self.network(x)[first:].float()


class LoadForecaster(nn.Module):
    """A trained forecaster with its scaling inside: raw windows in, megawatts out. This is logged and registered.

    Args:
        forecaster: trained on MinMax-scaled features.
        minimum, maximum: (S, inputs), of the training part, a row for each of the S series.
    """

    minimum: Tensor
    span: Tensor

    def __init__(self, forecaster: RecurrentForecaster | StepForecaster, minimum: Tensor, maximum: Tensor):
        super().__init__()
        self.forecaster = forecaster
        self.register_buffer("minimum", minimum)
        self.register_buffer("span", torch.where(maximum > minimum, maximum - minimum, torch.ones_like(minimum)))

    def forward(self, window: Tensor) -> Tensor:
        """Load of the hour after each window.

        Args:
            window: (B, T, inputs + 1): load in MW, hour, day of week, month, day of year, and the number of the
                series, constant within a window.

        Returns:
            (B,), MW.
        """
        series = window[:, 0, -1].long()
        minimum, span = self.minimum[series], self.span[series]
        scaled = (window[:, :, :-1] - minimum.unsqueeze(1)) / span.unsqueeze(1)
        last = self.forecaster(scaled.transpose(0, 1), first=window.shape[1] - 1).squeeze(0)
        return last * span[:, 0] + minimum[:, 0]
