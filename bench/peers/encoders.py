"""Our image encoders in PyTorch, with torchvision's state-dict names and without its classifiers."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: what is missing, the odd row and column at the bottom and right."""

    def forward(self, x):
        pads = []
        for size, window, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]):
            missing = max((-(-size // stride) - 1) * stride + window - size, 0)
            pads += [missing // 2, missing - missing // 2]
        left, right, top, bottom = pads
        if (left, top) != (right, bottom):
            x, left, top = F.pad(x, pads), 0, 0
        return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)


class Tiny(nn.Module):
    """The demo's: 64 x 64 gives 8 x 8 cells of 128 channels."""

    channels, reduction = 128, 8

    def __init__(self):
        super().__init__()
        sizes = [(3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1)]
        self.layers = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(i, o, 3, stride, 1, bias=False), "bn": nn.BatchNorm2d(o)})
            for i, o, stride in sizes
        )

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer["bn"](layer["conv"](x)), inplace=True)
        return x


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        shortcut = self.downsample(x) if self.downsample else x
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class ResNet18(nn.Module):
    """He et al. 2015, arXiv:1512.03385. 224 x 224 gives 7 x 7 cells of 512 channels."""

    channels, reduction = 512, 32

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        stage = lambda i, o, stride: nn.Sequential(BasicBlock(i, o, stride), BasicBlock(o, o, 1))
        self.layer1 = stage(64, 64, 1)
        self.layer2 = stage(64, 128, 2)
        self.layer3 = stage(128, 256, 2)
        self.layer4 = stage(256, 512, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def conv_norm_relu6(conv, inputs, outputs, size, stride=1, groups=1):
    # Padding of 1 x 1 windows is none by either rule; SameConv2d finds its own.
    pad = 0 if conv is SameConv2d else size // 2
    return nn.Sequential(
        conv(inputs, outputs, size, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    def __init__(self, conv, inputs, outputs, expansion, stride):
        super().__init__()
        hidden = inputs * expansion
        expand = [conv_norm_relu6(conv, inputs, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_norm_relu6(conv, hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, arXiv:1801.04381, table 2. 224 x 224 gives 7 x 7 cells of 1,280 channels."""

    channels, reduction = 1280, 32
    settings = [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]  # fmt: skip

    def __init__(self, padding="symmetric"):
        super().__init__()
        conv = SameConv2d if padding == "same" else nn.Conv2d
        parts, inputs = [conv_norm_relu6(conv, 3, 32, 3, 2)], 32
        for expansion, outputs, repeats, stride in self.settings:
            for i in range(repeats):
                parts.append(InvertedResidual(conv, inputs, outputs, expansion, stride if i == 0 else 1))
                inputs = outputs
        self.features = nn.Sequential(*parts, conv_norm_relu6(conv, 320, 1280, 1))

    def forward(self, x):
        return self.features(x)


def build_encoder(name, padding="symmetric"):
    return MobileNetV2(padding) if name == "mobilenet_v2" else {"tiny": Tiny, "resnet18": ResNet18}[name]()


@torch.no_grad()
def fold_batch_norm(module):
    """Folds every batch norm into the convolution before it, for running statistics only."""
    for parent in list(module.modules()):
        children = list(parent.named_children())
        for (name, conv), (next_name, norm) in zip(children, children[1:]):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv.eval(), norm.eval()))
                setattr(parent, next_name, nn.Identity())
    return module
