import pytest
import torch
from torch import Tensor, nn

from irstd.models.fusing import fold_norms, foldable_norms


def shaken(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, its norms away from the identity."""
    torch.manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(tensor, 0.5, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return network.double().eval()


class Pairs(nn.Module):
    """Foldable: a plain pair, a transposed one, a shared pair that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3))
        self.up = nn.ConvTranspose2d(3, 4, 2, 2)
        self.up_norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.shared_norm = nn.BatchNorm2d(4, eps=1e-2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up_norm(self.up(self.first(x).relu()))
        for _ in range(2):
            x = self.shared_norm(self.shared(x)).relu()
        return x


class Others(nn.Module):
    """Not foldable, each for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_norm = nn.BatchNorm2d(2)  # sees the image
        self.bare = nn.Conv2d(2, 2, 1)
        self.sum_norm = nn.BatchNorm2d(2)  # sees a sum
        self.twice = nn.Conv2d(2, 2, 1)  # one of its two outputs goes on without a norm
        self.twice_norm = nn.BatchNorm2d(2)
        self.fork = nn.Conv2d(2, 2, 1)  # two norms see its output
        self.left, self.right = nn.BatchNorm2d(2), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(x)
        x = self.sum_norm(self.bare(x) + x)
        x = self.twice_norm(self.twice(x)) + self.twice(x)
        y = self.fork(x)
        return self.left(y) * self.right(y)


def test_every_foldable_norm_is_folded_and_the_answer_stays():
    network, image = shaken(Pairs()), torch.randn(2, 2, 6, 5, dtype=torch.float64)
    assert foldable_norms(network, image) == [
        ("first.0", "first.1"),
        ("up", "up_norm"),
        ("shared", "shared_norm"),
    ]
    fused = fold_norms(network, image)
    torch.testing.assert_close(fused(image), network(image), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_what_is_not_foldable_stays():
    network, image = shaken(Others()), torch.randn(1, 2, 4, 4, dtype=torch.float64)
    assert foldable_norms(network, image) == []
    torch.testing.assert_close(fold_norms(network, image)(image), network(image))


def test_no_hook_is_left_behind():
    network = shaken(Pairs())
    with pytest.raises(RuntimeError, match="channels"):
        foldable_norms(network, torch.zeros(1, 5, 4, 4, dtype=torch.float64))
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    )


def test_fusing_a_training_network_leaves_it_in_training():
    network = shaken(Pairs()).train()
    assert not fold_norms(network, torch.zeros(1, 2, 4, 4, dtype=torch.float64)).training
    assert network.training
