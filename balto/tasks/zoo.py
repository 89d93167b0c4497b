"""The paper's five networks (section 4.2) and a small one, as torch modules with random weights.

Batch 1, 224 x 224 images; sequences of 128 tokens. They are in inference form: batch
normalisation is folded into the convolution before it, as a deployment does.
BERT-tiny is TenSet's (6 layers, hidden size 512, 8 heads), not the smaller one of the same name.

References: ResNet [He2016]_, ResNeXt [Xie2017]_, MobileNet-v2 [Sandler2018]_, BERT [Devlin2018]_,
and LeNet-5 [LeCun1998]_ with ReLU, which is tuned in a minute.

.. [He2016]
    K. He et al. Deep residual learning for image recognition. CVPR 2016.
.. [Xie2017]
    S. Xie et al. Aggregated residual transformations for deep neural networks. CVPR 2017.
.. [Sandler2018]
    M. Sandler et al. MobileNetV2: inverted residuals and linear bottlenecks. CVPR 2018.
.. [LeCun1998]
    Y. LeCun et al. Gradient-based learning applied to document recognition. Proc. IEEE 86(11),
    1998.
.. [Devlin2018]
    J. Devlin et al. BERT: pre-training of deep bidirectional transformers for language
    understanding. arXiv 1810.04805, 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def conv(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1, with the bias of the folded batch norm."""
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups)


class Bottleneck(nn.Module):
    """Residual block 1x1, 3x3, 1x1; grouped in ResNeXt."""

    def __init__(self, cin: int, width: int, cout: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(cin, width, 1),
            nn.ReLU(),
            conv(width, width, 3, stride, groups),
            nn.ReLU(),
            conv(width, cout, 1),
        )
        same = cin == cout and stride == 1
        self.shortcut = nn.Identity() if same else conv(cin, cout, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """`1 x cin x h x w` to `1 x cout x h/stride x w/stride`."""
        return F.relu(self.body(x) + self.shortcut(x))


def residual_network(groups: int, width_per_group: int) -> nn.Module:
    """ResNet-50 (1 group, 64 wide) and ResNeXt-50 (32 groups, 4 wide)."""
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    cin = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = groups * width_per_group * 2**stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(Bottleneck(cin, width, 256 * 2**stage, stride, groups))
            cin = 256 * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, 1000))


def lenet_5() -> nn.Module:
    """LeNet-5, for images of 1 x 32 x 32."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


class InvertedResidual(nn.Module):
    """MobileNet-v2's block: 1x1 expansion, 3x3 depthwise, 1x1 projection."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        expand = [conv(cin, wide, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand, conv(wide, wide, 3, stride, wide), nn.ReLU6(), conv(wide, cout, 1)
        )
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """`1 x cin x h x w` to `1 x cout x h/stride x w/stride`."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def mobilenet_v2() -> nn.Module:
    """MobileNet-v2, width 1.0."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6()]
    cin = 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, cout, blocks, stride in [*stages, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for block in range(blocks):
            layers.append(InvertedResidual(cin, cout, stride if block == 0 else 1, expansion))
            cin = cout
    head = [conv(cin, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(1280, 1000))


class EncoderLayer(nn.Module):
    """One layer of BERT's encoder."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """`1 x sequence x hidden` to the same shape."""
        _, length, hidden = x.shape
        per_head = (length, self.heads, hidden // self.heads)
        q, k, v = (
            linear(x).reshape(per_head).transpose(0, 1)
            for linear in (self.query, self.key, self.value)
        )
        scores = torch.bmm(q, k.transpose(1, 2)) / (hidden // self.heads) ** 0.5
        mixed = torch.bmm(torch.softmax(scores, dim=-1), v)
        x = self.norm1(x + self.out(mixed.transpose(0, 1).reshape(1, length, hidden)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))  # type: ignore[no-any-return]


class Bert(nn.Module):
    """BERT's encoder with its embeddings and pooler."""

    def __init__(self, layers: int, hidden: int, heads: int, vocabulary: int = 30522) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, hidden)
        self.positions = nn.Parameter(torch.randn(1, 512, hidden))
        self.norm = nn.LayerNorm(hidden)
        self.encoder = nn.Sequential(*(EncoderLayer(hidden, heads) for _ in range(layers)))
        self.pooler = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `1 x sequence` to a vector `1 x hidden`."""
        x = self.norm(self.words(tokens) + self.positions[:, : tokens.shape[1]])
        return torch.tanh(self.pooler(self.encoder(x)[:, 0]))


def build(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A network in evaluation mode, with the same random weights each time; an example input."""
    image = (torch.zeros(1, 3, 224, 224),)
    tokens = (torch.zeros(1, 128, dtype=torch.int64),)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "lenet-5":
            return lenet_5().eval(), (torch.zeros(1, 1, 32, 32),)
        if name == "resnet-50":
            return residual_network(groups=1, width_per_group=64).eval(), image
        if name == "resnext-50":
            return residual_network(groups=32, width_per_group=4).eval(), image
        if name == "mobilenet-v2":
            return mobilenet_v2().eval(), image
        if name == "bert-tiny":
            return Bert(layers=6, hidden=512, heads=8).eval(), tokens
        if name == "bert-base":
            return Bert(layers=12, hidden=768, heads=12).eval(), tokens
    raise KeyError(name)
