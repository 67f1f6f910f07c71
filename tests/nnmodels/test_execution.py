"""ResNets computed faster: against torch's own convolutions, and the network as it is defined."""

import copy
import itertools

import pytest
import torch
from support.images import photographs, settled
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from nnmodels.execution import SmallImageConv2d, quantised, rearranged
from nnmodels.resnet import folded, resnet
from pipelines.training.machine import has_int8

needs_vnni = pytest.mark.skipif(not has_int8("cpu"), reason="int8 needs VNNI instructions, which this CPU has not")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", list(itertools.product((1, 2, 3), (1, 2, 3))))
def test_small_images_are_convolved_as_torch_does(size, stride):
    torch.manual_seed(0)
    ours = SmallImageConv2d(5, 7, 3, stride, 1, bias=False).double()
    weight = ours.weight.detach().clone().requires_grad_()
    x = torch.randn(4, 5, *size, dtype=torch.double, requires_grad=True)
    same = x.detach().clone().requires_grad_()
    got, expected = ours(x), F.conv2d(same, weight, stride=stride, padding=1)
    torch.testing.assert_close(got, expected)
    by = torch.randn_like(expected)
    (got * by).sum().backward()
    (expected * by).sum().backward()
    torch.testing.assert_close(x.grad, same.grad)
    torch.testing.assert_close(ours.weight.grad, weight.grad)


def test_small_images_take_no_products_with_padding():
    """2x2 pixels have 16 pairs of an input and an output pixel, each one product a pair of channels."""
    from torch.utils.flop_counter import FlopCounterMode

    convolution = SmallImageConv2d(5, 7, 3, 1, 1, bias=False)
    with FlopCounterMode(display=False) as counter:
        convolution(torch.zeros(3, 5, 2, 2))
    assert counter.get_total_flops() // 2 == 3 * 16 * 5 * 7


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(("resnet18", "pool"), id="pool"),
        pytest.param(("resnet18", "plain"), id="plain"),
        pytest.param(("resnet20",), id="resnet20"),
    ],
)
@pytest.mark.medium
def test_training_the_rearranged_network_trains_the_other(model, side):
    torch.manual_seed(0)
    network = resnet(*model).double()
    untouched = copy.deepcopy(network)
    keys = list(network.state_dict())
    twin = rearranged(network)
    images, labels = torch.randn(6, 3, side, side, dtype=torch.double), torch.arange(6)
    for trained in (untouched, twin):
        F.cross_entropy(trained(images), labels).backward()
    for expected, parameter in zip(untouched.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad)
    # The running statistics too.
    assert list(network.state_dict()) == keys
    torch.testing.assert_close(network.state_dict(), untouched.state_dict())
    assert not any(isinstance(part, SmallImageConv2d) for part in network.modules())
    assert any(isinstance(part, SmallImageConv2d) for part in twin.modules())


def test_max_pooling_alone_works_with_channels_last():
    twin = rearranged(resnet("resnet18", "pool"))
    seen = {}

    def note(name):
        def hook(module, inputs):
            seen[name] = inputs[0].is_contiguous(memory_format=torch.channels_last)

        return hook

    for name in ("bn1", "relu", "layer1", "layer2"):
        twin.get_submodule(name).register_forward_pre_hook(note(name))
    twin(torch.randn(4, 3, 32, 32))
    assert seen == {"bn1": True, "relu": True, "layer1": False, "layer2": False}


def test_a_folded_network_may_be_rearranged_too():
    images = photographs(16)
    model = settled(resnet("resnet18", "pool"), images).eval()
    with torch.no_grad():
        torch.testing.assert_close(rearranged(folded(model))(images), model(images), rtol=0, atol=1e-4)


@needs_vnni
@pytest.mark.parametrize("model", [("resnet18", "pool"), ("resnet20",)])
@pytest.mark.medium
def test_integers_give_nearly_the_same_logits(model):
    images = photographs(64)
    network = settled(resnet(*model), images)
    before, engine = copy.deepcopy(network.state_dict()), torch.backends.quantized.engine
    integers = quantised(network, images)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert network.training
    assert torch.backends.quantized.engine == engine
    assert not any(isinstance(part, nn.BatchNorm2d) for part in integers.modules())
    assert integers.get_submodule("layer1.0.conv1").weight().dtype == torch.qint8
    with torch.no_grad():
        expected, got = network.eval()(images), integers(images)
    # Eight bits have steps of 1/256 of the range, and the errors of some tens of layers add up; 1.0 is no relation.
    error = ((got - expected).std() / expected.std()).item()
    assert 0 < error < 0.2


@needs_vnni
def test_integers_tell_what_published_weights_tell(real_weights):
    weights = torch.load(next(real_weights.glob("resnet20-*.th")), map_location="cpu", weights_only=True)["state_dict"]
    network = resnet("resnet20").eval()
    network.load_state_dict(
        {key.removeprefix("module.").replace("linear", "fc"): each for key, each in weights.items()}
    )
    images = photographs(64)
    with torch.no_grad():
        same = quantised(network, images)(images).argmax(1) == network(images).argmax(1)
    assert same.sum() >= 61


def test_other_convolutions_stay():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
    )
    assert [type(part) for part in rearranged(network)] == [nn.Conv2d] * 4
