"""Our image encoders in PyTorch, with torchvision's state-dict names and without its classifiers. Shapes other than the
published ones are for tests."""

import math

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
    widening = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x):
        residual = self.downsample(x) if self.downsample else x
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + residual, inplace=True)


class Bottleneck(nn.Module):
    """The 3 x 3 convolution strides, as in torchvision."""

    widening = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def forward(self, x):
        residual = self.downsample(x) if self.downsample else x
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)) + residual, inplace=True)


def shortcut(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """He et al. 2015, arXiv:1512.03385. 224 x 224 gives 7 x 7 cells of 512 channels, 2,048 of bottlenecks."""

    reduction = 32
    published = {
        "resnet18": (BasicBlock, [2, 2, 2, 2]), "resnet34": (BasicBlock, [3, 4, 6, 3]),
        "resnet50": (Bottleneck, [3, 4, 6, 3]), "resnet101": (Bottleneck, [3, 4, 23, 3]),
        "resnet152": (Bottleneck, [3, 8, 36, 3]),
    }  # fmt: skip

    def __init__(self, name, blocks=None, widths=(64, 128, 256, 512)):
        super().__init__()
        block, published = self.published[name]
        inputs = widths[0]
        self.conv1 = nn.Conv2d(3, inputs, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for i, (count, width) in enumerate(zip(blocks or published, widths)):
            layer = []
            for j in range(count):
                layer.append(block(inputs, width, 2 if i > 0 and j == 0 else 1))
                inputs = block.widening * width
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.channels = inputs

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def unit(conv, inputs, outputs, size, stride=1, groups=1, activation=nn.ReLU6):
    """Convolution, batch norm and activation, as torchvision's Conv2dNormActivation. SameConv2d finds its own padding."""
    pad = 0 if conv is SameConv2d else size // 2
    layers = [conv(inputs, outputs, size, stride, pad, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class InvertedResidual(nn.Module):
    def __init__(self, conv, inputs, outputs, expansion, stride):
        super().__init__()
        hidden = inputs * expansion
        expand = [unit(conv, inputs, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            unit(conv, hidden, hidden, 3, stride, hidden),
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
        parts, inputs = [unit(conv, 3, 32, 3, 2)], 32
        for expansion, outputs, repeats, stride in self.settings:
            for i in range(repeats):
                parts.append(InvertedResidual(conv, inputs, outputs, expansion, stride if i == 0 else 1))
                inputs = outputs
        self.features = nn.Sequential(*parts, unit(conv, 320, 1280, 1))

    def forward(self, x):
        return self.features(x)


class SqueezeExcitation(nn.Module):
    """Hu et al. 2017, arXiv:1709.01507."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        squeezed = F.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)), inplace=True)
        return x * torch.sigmoid(self.fc2(squeezed))


class MBConv(nn.Module):
    def __init__(self, conv, inputs, outputs, expansion, window, stride):
        super().__init__()
        hidden = inputs * expansion
        self.block = nn.Sequential(
            *([unit(conv, inputs, hidden, 1, activation=nn.SiLU)] if expansion > 1 else []),
            unit(conv, hidden, hidden, window, stride, hidden, nn.SiLU),
            SqueezeExcitation(hidden, max(1, inputs // 4)),
            unit(conv, hidden, outputs, 1, activation=None),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


def eights(channels):
    """The nearest multiple of 8 that is not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class EfficientNet(nn.Module):
    """Tan and Le 2019, arXiv:1905.11946, table 1, without stochastic depth."""

    reduction = 32
    scales = {"efficientnet_b0": (1, 1), "efficientnet_b1": (1, 1.1), "efficientnet_b2": (1.1, 1.2), "efficientnet_b3": (1.2, 1.4)}  # fmt: skip
    stages = [
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ]  # fmt: skip

    def __init__(self, name, padding="symmetric", stem=32, stages=None, head=1280):
        super().__init__()
        conv = SameConv2d if padding == "same" else nn.Conv2d
        width, depth = (1, 1) if stages else self.scales[name]
        inputs = eights(stem * width)
        parts = [unit(conv, 3, inputs, 3, 2, activation=nn.SiLU)]
        for expansion, window, stride, channels, repeats in stages or self.stages:
            blocks = []
            for i in range(math.ceil(repeats * depth)):
                outputs = eights(channels * width)
                blocks.append(MBConv(conv, inputs, outputs, expansion, window, stride if i == 0 else 1))
                inputs = outputs
            parts.append(nn.Sequential(*blocks))
        self.channels = eights(head * width)
        self.features = nn.Sequential(*parts, unit(conv, inputs, self.channels, 1, activation=nn.SiLU))

    def forward(self, x):
        return self.features(x)


class ViTBlock(nn.Module):
    def __init__(self, dim, heads, feed_forward, dropout):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(dim, feed_forward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feed_forward, dim), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.dropout(self.self_attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    """Dosovitskiy et al. 2020, arXiv:2010.11929. Gives [B, channels, tokens], the class token first."""

    reduction = 16
    published = {"vit_b_16": (768, 12, 12, 3072), "vit_s_16": (384, 12, 6, 1536)}

    def __init__(self, name, size, dropout=0.0, shape=None):
        super().__init__()
        dim, layers, heads, feed_forward = shape or self.published[name]
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.conv_proj = nn.Conv2d(3, dim, 16, 16)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(0.02 * torch.randn(1, 1 + (size // 16) ** 2, dim))
        self.encoder.layers = nn.Sequential()
        for i in range(layers):
            self.encoder.layers.add_module(f"encoder_layer_{i}", ViTBlock(dim, heads, feed_forward, dropout))
        self.encoder.ln = nn.LayerNorm(dim, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.channels = dim

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1)
        x = self.dropout(x + self.encoder.pos_embedding)
        return self.encoder.ln(self.encoder.layers(x)).transpose(1, 2)


class PostNormViT(nn.Module):
    """Norms after the sums, fixed positions. Gives [B, channels, tokens], the class token first."""

    reduction = 16

    def __init__(self, size, dropout=0.0, shape=None):
        super().__init__()
        dim, layers, heads, feed_forward = shape or (768, 6, 8, 2048)
        self.embeddings_block = nn.Module()
        self.embeddings_block.patcher = nn.Sequential(nn.Conv2d(3, dim, 16, 16), nn.Flatten(2))
        self.embeddings_block.special_classification_token = nn.Parameter(torch.randn(1, 1, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, feed_forward, dropout, "gelu", batch_first=True)
        self.encoder_blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        places = torch.arange(1 + (size // 16) ** 2, dtype=torch.float64)[:, None]
        angle = places / 10000 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        self.positions = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
        self.dropout = nn.Dropout(dropout)
        self.channels = dim

    def forward(self, x):
        x = self.embeddings_block.patcher(x).transpose(1, 2)
        x = torch.cat([self.embeddings_block.special_classification_token.expand(len(x), -1, -1), x], 1)
        x = self.dropout(x + self.positions.to(x))
        return self.encoder_blocks(x).transpose(1, 2)


def build_encoder(name, padding="symmetric", size=224, epsilon=1e-5, dropout=0.0, **shape):
    """`size` of images and dropout matter to vision transformers, padding and epsilon to the others."""
    if name == "vit_postnorm_16":
        encoder = PostNormViT(size, dropout, **shape)
    elif name.startswith("vit_"):
        encoder = ViT(name, size, dropout, **shape)
    elif name.startswith("resnet"):
        encoder = ResNet(name, **shape)
    elif name.startswith("efficientnet_"):
        encoder = EfficientNet(name, padding, **shape)
    else:
        encoder = MobileNetV2(padding) if name == "mobilenet_v2" else Tiny()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon
    return encoder


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
