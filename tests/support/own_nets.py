"""A file with models of a user's own, for tests that put it into a folder."""

NETS = '''\
import torch
from torch import nn


class Small(nn.Module):
    """A CNN with a batch norm."""

    def __init__(self, width=4, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=4), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Branching(Small):
    """What torch.export does not understand, with weights that are tied."""

    def __init__(self):
        super().__init__()
        self.same = self.head

    def forward(self, x):
        return super().forward(x) * (2 if x.sum().item() > 1e9 else 1)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

    def forward(self, x):
        return self.layers(x)


class Causal(nn.Module):
    """Convolutions over the hours before."""

    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Conv1d(5, width, 24)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        past = nn.functional.pad(x.permute(1, 2, 0), (23, 0))
        return self.head(self.first(past).relu().permute(2, 0, 1)).squeeze(-1)


class Ahead(Causal):
    def forward(self, x):
        return super().forward(torch.roll(x, -1, 0))


class Normed(Causal):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)


class Fixed(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Detached(Small):
    def forward(self, x):
        return super().forward(x).detach()


class Pair(Small):
    def forward(self, x):
        return super().forward(x), x


def number():
    return 3


LABEL = "text"
'''
