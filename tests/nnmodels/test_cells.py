"""The cells against torch.nn, against each other, and against numbers worked out by hand from the report."""

import math
from collections.abc import Iterator
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from nnmodels import cells
from nnmodels.cells import Affine, GRUWeights, LSTMWeights, ReportLSTMWeights, ReportRNNWeights, RNNWeights

STEPS = {nn.RNN: cells.rnn_step, nn.LSTM: cells.lstm_step, nn.GRU: cells.gru_step}
GRU_STEPS = (cells.gru_step, cells.cho_gru_step, cells.report_gru_step)
INPUT, HIDDEN, BATCH, TIME = 3, 4, 2, 7
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def leaves(weights: tuple) -> list[Tensor]:
    """Every tensor of nested named tuples, in order; absent biases (None) are left out."""
    return [
        leaf for part in weights if part is not None for leaf in (leaves(part) if isinstance(part, tuple) else [part])
    ]


def rebuilt(weights: tuple, tensors: Iterator[Tensor]) -> tuple:
    """Named tuples like `weights`, with `tensors` in place of its leaves."""

    def replacement(part):
        return rebuilt(part, tensors) if isinstance(part, tuple) else next(tensors)

    return type(weights)(*(None if part is None else replacement(part) for part in weights))


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def random_sequence() -> Tensor:
    return random(TIME, BATCH, INPUT)


def random_state() -> Tensor:
    return random(BATCH, HIDDEN)


def random_affine(biases: int) -> Affine:
    return Affine(random(HIDDEN, INPUT), random(HIDDEN, HIDDEN), *(random(HIDDEN) for _ in range(biases)))


def random_lstm(biases: int) -> LSTMWeights:
    return LSTMWeights(*(random_affine(biases) for _ in LSTMWeights._fields))


def random_gru(biases: int) -> GRUWeights:
    return GRUWeights(*(random_affine(biases) for _ in GRUWeights._fields))


# The standard forms are torch.nn's.


def run_torch(module: nn.Module, x: Tensor, initial: Tensor) -> list[Tensor]:
    """Outputs (T, B, H) and last states (L, B, H), one or (LSTM) two, from the initial states (1 or 2, L, B, H)."""
    output, last = module(x, tuple(initial) if isinstance(module, nn.LSTM) else initial[0])
    return [output, *(last if isinstance(last, tuple) else [last])]


def run_cells(module: nn.Module, weights: tuple, x: Tensor, initial: Tensor) -> list[Tensor]:
    """The same as `run_torch`, with a cell for each layer."""
    lasts = []
    for layer, layer_weights in enumerate(weights):
        state = tuple(initial[:, layer]) if isinstance(module, nn.LSTM) else initial[0, layer]
        x, last = cells.unroll(STEPS[type(module)], x, state, layer_weights)
        lasts.append(last if isinstance(last, tuple) else (last,))
    return [x, *(torch.stack(states) for states in zip(*lasts, strict=True))]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)], ids=["f64", "f32"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.__name__)
def test_standard_form_equals_torch_forward_and_backward(kind, layers, bias, dtype, tolerance):
    module = kind(INPUT, HIDDEN, layers, bias=bias, dtype=dtype)
    weights = tuple(cells.copy_weights(module, layer) for layer in range(layers))
    x = torch.randn(TIME, BATCH, INPUT, dtype=dtype, requires_grad=True)
    initial = torch.randn(2 if kind is nn.LSTM else 1, layers, BATCH, HIDDEN, dtype=dtype, requires_grad=True)

    expected = run_torch(module, x, initial)
    actual = run_cells(module, weights, x, initial)
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)

    directions = [torch.randn_like(output) for output in expected]
    expected_x, expected_initial, *expected_weights = torch.autograd.grad(
        expected, [x, initial, *module.parameters()], directions
    )
    actual_x, actual_initial, *gradients = torch.autograd.grad(actual, [x, initial, *leaves(weights)], directions)
    # torch stacks one parameter of all gates: weight_ih, weight_hh and the two biases of layer 0, then of layer 1.
    per_gate = 4 if bias else 2
    per_layer = len(gradients) // layers
    actual_weights = [
        torch.cat(gradients[layer * per_layer : (layer + 1) * per_layer][parameter::per_gate])
        for layer in range(layers)
        for parameter in range(per_gate)
    ]
    torch.testing.assert_close(
        [actual_x, actual_initial, *actual_weights],
        [expected_x, expected_initial, *expected_weights],
        rtol=tolerance,
        atol=tolerance,
    )


def test_copies_are_independent_of_the_module():
    module = nn.GRU(INPUT, HIDDEN)
    before = module.weight_ih_l0[:HIDDEN].detach().clone()
    weights = cells.copy_weights(module)
    nn.init.zeros_(module.weight_ih_l0)
    assert weights.reset.W_x.is_leaf
    torch.testing.assert_close(weights.reset.W_x.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "module",
    [
        nn.RNN(INPUT, HIDDEN, nonlinearity="relu"),
        nn.GRU(INPUT, HIDDEN, bidirectional=True),
        nn.LSTM(INPUT, HIDDEN, proj_size=2),
    ],
    ids=["relu", "bidirectional", "projection"],
)
def test_copy_refuses_modules_with_other_equations(module):
    with pytest.raises(ValueError, match="no counterpart"):
        cells.copy_weights(module)


# The report's forms, where they reduce to the standard ones and where they do not.


def test_report_rnn_is_torch_rnn_with_zero_biases_and_a_linear_output():
    module = nn.RNN(INPUT, HIDDEN, dtype=torch.float64)
    for bias in (module.bias_ih_l0, module.bias_hh_l0):
        nn.init.zeros_(bias)
    readout = nn.Linear(HIDDEN, 5, bias=False, dtype=torch.float64)
    weights = ReportRNNWeights(*cells.copy_weights(module), readout.weight)
    x, h = random_sequence(), random_state()

    hidden, last = module(x, h[None])
    actual = cells.unroll(cells.report_rnn_step, x, h, weights)
    torch.testing.assert_close(actual, (readout(hidden), last[0]), **EXACT)


def test_report_rnn_has_no_biases():
    """So it is an odd function of input and state, which the standard cell with the same weights is not."""
    hidden = random_affine(biases=2)
    report, standard = ReportRNNWeights(hidden, torch.eye(HIDDEN, dtype=torch.float64)), RNNWeights(hidden)
    x, h = random_sequence()[0], random_state()

    plus, minus = (cells.report_rnn_step(sign * x, sign * h, report)[0] for sign in (1, -1))
    torch.testing.assert_close(minus, -plus, **EXACT)
    assert (plus - cells.rnn_step(x, h, standard)[0]).abs().max() > 0.1


def test_report_lstm_is_torch_lstm_with_identity_and_zero_on_the_cell_state():
    module = nn.LSTM(INPUT, HIDDEN, dtype=torch.float64)
    identity, zero = torch.eye(HIDDEN, dtype=torch.float64), torch.zeros(HIDDEN, dtype=torch.float64)
    weights = ReportLSTMWeights(cells.copy_weights(module), identity, zero)
    x, h, c = random_sequence(), random_state(), random_state()

    expected, (last_h, last_c) = module(x, (h[None], c[None]))
    actual = cells.unroll(cells.report_lstm_step, x, (h, c), weights)
    torch.testing.assert_close(actual, (expected, (last_h[0], last_c[0])), **EXACT)


def test_report_lstm_puts_a_linear_layer_inside_the_output_tanh():
    module = nn.LSTMCell(INPUT, HIDDEN, dtype=torch.float64)
    inside = nn.Linear(HIDDEN, HIDDEN, dtype=torch.float64)
    gates = [Affine(*parts) for parts in zip(*(stacked.chunk(4) for stacked in module.parameters()), strict=True)]
    x, h, c = random_sequence()[0], random_state(), random_state()

    standard_h, expected_c = module(x, (h, c))
    expected_h = standard_h / expected_c.tanh() * inside(expected_c).tanh()
    weights = ReportLSTMWeights(LSTMWeights(*gates), inside.weight, inside.bias)
    actual_h, state = cells.report_lstm_step(x, (h, c), weights)
    torch.testing.assert_close((actual_h, *state), (expected_h, expected_h, expected_c), **EXACT)
    assert (actual_h - standard_h).abs().max() > 0.1


def saturated_gru(reset: float, *, bias: bool) -> tuple[nn.GRU, Tensor]:
    """A module and a sequence whose first feature, always 1, sets the reset gate to σ(`reset`) up to rounding."""
    module = nn.GRU(INPUT, HIDDEN, bias=bias, dtype=torch.float64)
    with torch.no_grad():
        module.weight_ih_l0[:HIDDEN, 0] = reset
    x = random_sequence()
    x[..., 0] = 1.0
    return module, x


@pytest.mark.parametrize(("step", "bias"), [(cells.cho_gru_step, True), (cells.report_gru_step, False)])
def test_gru_forms_equal_torch_where_the_reset_gate_is_one(step, bias):
    module, x = saturated_gru(1000.0, bias=bias)
    h = random_state()
    expected, last = module(x, h[None])
    actual = cells.unroll(step, x, h, cells.copy_weights(module))
    torch.testing.assert_close(actual, (expected, last[0]), **EXACT)


def test_a_closed_reset_gate_only_decays_in_the_report_and_starts_again_in_the_other_forms():
    module, x = saturated_gru(-1000.0, bias=False)
    x, h, weights = x[0], random_state(), cells.copy_weights(module)
    z = torch.sigmoid(x @ weights.update.W_x.T + h @ weights.update.W_h.T)
    from_input_alone = torch.tanh(x @ weights.new.W_x.T)
    restarted = z * h + (1 - z) * from_input_alone
    for step, expected in zip(GRU_STEPS, (restarted, restarted, z * h), strict=True):
        torch.testing.assert_close(step(x, h, weights)[0], expected, **EXACT)


@pytest.mark.parametrize("biases", [0, 2])
def test_the_three_gru_forms_differ(biases):
    x, h, weights = random_sequence(), random_state(), random_gru(biases)
    outputs = [cells.unroll(step, x, h, weights)[0] for step in GRU_STEPS]
    for one, other in combinations(outputs, 2):
        assert (one - other).abs().max() > 0.1


def test_cho_gru_equals_torch_where_the_product_is_diagonal():
    module = nn.GRU(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        module.weight_hh_l0[-HIDDEN:] = torch.diag(torch.randn(HIDDEN))
        module.bias_hh_l0[-HIDDEN:] = 0.0
    x, h = random_sequence(), random_state()
    expected, last = module(x, h[None])
    actual = cells.unroll(cells.cho_gru_step, x, h, cells.copy_weights(module))
    torch.testing.assert_close(actual, (expected, last[0]), **EXACT)


def test_report_gru_equals_torch_without_biases_where_the_candidate_reads_no_input():
    module = nn.GRU(INPUT, HIDDEN, dtype=torch.float64)
    with torch.no_grad():
        module.weight_ih_l0[-HIDDEN:] = 0.0
    weights_with_biases = cells.copy_weights(module)
    for bias in (module.bias_ih_l0, module.bias_hh_l0):
        nn.init.zeros_(bias)
    x, h = random_sequence(), random_state()
    expected, last = module(x, h[None])
    actual = cells.unroll(cells.report_gru_step, x, h, weights_with_biases)
    torch.testing.assert_close(actual, (expected, last[0]), **EXACT)


def test_report_gru_keeps_a_zero_state_at_zero_without_input():
    x, h = torch.zeros(BATCH, INPUT, dtype=torch.float64), torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
    weights = random_gru(biases=2)
    assert not cells.report_gru_step(x, h, weights)[0].any()
    assert cells.gru_step(x, h, weights)[0].all()


# One unit, one input: the sums of the report's equations worked out by hand.


def scalar_affine(w_x: float, w_h: float, *biases: float) -> Affine:
    matrices = [torch.tensor([[value]], dtype=torch.float64) for value in (w_x, w_h)]
    return Affine(*matrices, *(torch.tensor([bias], dtype=torch.float64) for bias in biases))


def scalar(value: float) -> Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_rnn_by_hand():
    hidden = scalar_affine(-0.25, 0.5, 0.1, 0.3)
    x = torch.stack([scalar(2.0), scalar(1.0)])

    # The report, from hidden_0 = 0.4: 0.5 * 0.4 - 0.25 * 2 = -0.3, then 0.5 hidden_1 - 0.25 * 1.
    hidden_1 = math.tanh(-0.3)
    hidden_2 = math.tanh(0.5 * hidden_1 - 0.25)
    outputs, last = cells.unroll(cells.report_rnn_step, x, scalar(0.4), ReportRNNWeights(hidden, scalar(3.0)))
    assert outputs.flatten().tolist() == pytest.approx([3 * hidden_1, 3 * hidden_2], abs=1e-14)
    assert last.item() == pytest.approx(hidden_2, abs=1e-14)

    # The standard form adds 0.1 + 0.3: 0.1, then 0.5 h_1 + 0.15.
    h_1 = math.tanh(0.1)
    h_2 = math.tanh(0.5 * h_1 + 0.15)
    outputs, last = cells.unroll(cells.rnn_step, x, scalar(0.4), RNNWeights(hidden))
    assert outputs.flatten().tolist() == pytest.approx([h_1, h_2], abs=1e-14)
    assert last.item() == pytest.approx(h_2, abs=1e-14)


def test_lstm_by_hand():
    """x = 2, h_0 = 0.5, c_0 = -0.8."""
    weights = LSTMWeights(
        input=scalar_affine(0.25, 1.0, 0.2),  # i_1: 0.5 + 0.5 + 0.2 = 1.2
        forget=scalar_affine(-0.5, 0.6, 0.4),  # f: -1 + 0.3 + 0.4 = -0.3
        cell=scalar_affine(0.3, -0.2, 0.1),  # i_2: 0.6 - 0.1 + 0.1 = 0.6
        output=scalar_affine(-0.1, 0.8, 0.5),  # o_1: -0.2 + 0.4 + 0.5 = 0.7
    )
    c_1 = -0.8 * sigmoid(-0.3) + sigmoid(1.2) * math.tanh(0.6)
    state = (scalar(0.5), scalar(-0.8))

    # The report with W_output2 = 1.5, bias_output2 = -0.25.
    h_1 = sigmoid(0.7) * math.tanh(1.5 * c_1 - 0.25)
    report = ReportLSTMWeights(weights, scalar(1.5), torch.tensor([-0.25], dtype=torch.float64))
    y, (h, c) = cells.report_lstm_step(scalar(2.0), state, report)
    assert [y.item(), h.item(), c.item()] == pytest.approx([h_1, h_1, c_1], abs=1e-14)

    h_1 = sigmoid(0.7) * math.tanh(c_1)
    y, (h, c) = cells.lstm_step(scalar(2.0), state, weights)
    assert [y.item(), h.item(), c.item()] == pytest.approx([h_1, h_1, c_1], abs=1e-14)


@pytest.mark.parametrize(
    ("step", "biases", "expected"),
    [
        # The report: candidate tanh(3/4 * (0.4 + 0.8)) = tanh(0.9), h_1 = tanh(0.9) * (1 - 1/4) + 1/4 * 0.8.
        (cells.report_gru_step, (), 0.75 * math.tanh(0.9) + 0.2),
        # torch, the candidate's biases 0.1 and 0.2: tanh(0.4 + 0.1 + 3/4 * (0.8 + 0.2)) = tanh(1.25).
        (cells.gru_step, (0.1, 0.2), 0.75 * math.tanh(1.25) + 0.2),
        # Cho et al.: tanh(0.4 + 0.1 + 1 * (3/4 * 0.8) + 0.2) = tanh(1.3).
        (cells.cho_gru_step, (0.1, 0.2), 0.75 * math.tanh(1.3) + 0.2),
    ],
    ids=["report", "torch", "cho"],
)
def test_gru_by_hand(step, biases, expected):
    """x = 2, h_0 = 0.8."""
    weights = GRUWeights(
        reset=scalar_affine(math.log(3), -1.25 * math.log(3)),  # 2 ln 3 - ln 3 = ln 3, and σ(ln 3) = 3/4
        update=scalar_affine(-math.log(3), 1.25 * math.log(3)),  # -2 ln 3 + ln 3 = -ln 3, and σ(-ln 3) = 1/4
        new=scalar_affine(0.2, 1.0, *biases),  # 0.4 from the input, 0.8 from the state
    )
    y, h = step(scalar(2.0), scalar(0.8), weights)
    assert [y.item(), h.item()] == pytest.approx([expected, expected], abs=1e-14)


# Backward of every form.


GRADCHECK = {
    "rnn": (cells.rnn_step, lambda: RNNWeights(random_affine(2))),
    "report-rnn": (cells.report_rnn_step, lambda: ReportRNNWeights(random_affine(0), random(5, HIDDEN))),
    "lstm": (cells.lstm_step, lambda: random_lstm(2)),
    "report-lstm": (
        cells.report_lstm_step,
        lambda: ReportLSTMWeights(random_lstm(1), random(HIDDEN, HIDDEN), random(HIDDEN)),
    ),
    "gru": (cells.gru_step, lambda: random_gru(2)),
    "cho-gru": (cells.cho_gru_step, lambda: random_gru(2)),
    "report-gru": (cells.report_gru_step, lambda: random_gru(0)),
}


@pytest.mark.parametrize("name", GRADCHECK)
def test_gradients_equal_finite_differences(name):
    step, make_weights = GRADCHECK[name]
    weights = make_weights()
    is_lstm = "lstm" in name

    def run(x, h, c, *tensors):
        output, last = cells.unroll(step, x, (h, c) if is_lstm else h, rebuilt(weights, iter(tensors)))
        return output, *(last if is_lstm else (last,))

    inputs = [random(3, BATCH, INPUT), random_state(), random_state(), *leaves(weights)]
    assert torch.autograd.gradcheck(run, [tensor.requires_grad_() for tensor in inputs])
