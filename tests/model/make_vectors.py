"""Makes tests/model/vectors/*.bin: the networks of the paper, narrow, and small nets of every kind of
block and head at awkward sizes, computed by PyTorch in float64.

Run with Debian's python3-torch from anywhere: /usr/bin/python3 tests/model/make_vectors.py [NAME]...
The networks are written down here a second time, from the papers and facts and not from our C, so that
a wrong reading of either shows.

Nothing that both sides can compute is stored: parameters, images and labels come from a hash of their
name and index (numbers() here, number() in test_networks.c), which float32 holds exactly. Gradients and
running statistics are too many to store as well. A tensor of more than 24 numbers is stored as its
L2 norm and its products with 16 vectors of random signs: for any difference d of two tensors, the mean
square of <d, r> over random signs r is |d|^2, so 16 of them measure |d| to some 20 percent, whatever d
is (and a difference ten times over the tolerance passes with a chance below 1e-15).

A ReLU whose input is nearly 0 may be on in float64 and off in float32, which changes gradients by more
than rounding does; so does a pool of two nearly equal numbers. And some numbers make a deep net multiply
rounding by a million on its way. Neither says anything about our C, so of some seeds the one is taken
whose closest decision is the least close, and whose gradients by PyTorch in float32 are the nearest to
those in float64: the least quotient of the two.

A file is a list of records: a line "name count", then count float32 in little-endian order. Tensors are
in PyTorch's layouts.
"""
import copy
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
TEMPERATURE, ALPHA, LAMBDA = 3.0, 0.3, 0.5  # a lambda that shows in the gradients
WHOLE, SIGNS = 24, 16
U64 = (1 << 64) - 1

# --- numbers that C computes, too -------------------------------------------------------------------


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & U64
    return h


def hashes(text, count):
    """splitmix64 from fnv(text) on."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(text)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def numbers(text, count, offset=0.0, scale=1.0):
    """offset + scale * [-1, 1), rounded to float32."""
    unit = (hashes(text, count) >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1
    return (offset + scale * unit).astype(np.float32).astype(np.float64)


def projections(tensor):
    values = tensor.detach().reshape(-1).numpy()
    bits = hashes("signs", values.size)
    out = [math.sqrt(float(np.dot(values, values)))]
    for j in range(SIGNS):
        signs = ((bits >> np.uint64(j)) & np.uint64(1)).astype(np.float64) * 2 - 1
        out.append(float(np.dot(signs, values)))
    return out


def fill(net, seed):
    with torch.no_grad():
        for name, module in net.named_modules():
            for part, t in list(module.named_parameters(recurse=False)) + list(module.named_buffers(recurse=False)):
                if part == "num_batches_tracked":
                    continue
                offset, scale = 0.0, 0.5
                if isinstance(module, nn.BatchNorm2d):
                    # Small factors, as the ends of residual branches have after training: with 1 in all
                    # places the deep nets' gradients grow so much that float32 is off by some percent,
                    # PyTorch's as well. bn3 ends the branches of the deepest ones.
                    offset, scale = {"weight": (0.4, 0.2), "bias": (0.0, 0.5), "running_mean": (0.0, 0.5),
                                     "running_var": (1.25, 0.75)}[part]
                    if name.endswith("bn3") and part == "weight":
                        offset, scale = 0.15, 0.1
                elif part == "weight":
                    # The second dim is the inputs', of a transposed convolution the outputs'.
                    scale = math.sqrt(2.0 / (t.numel() // t.shape[0]))
                full = f"{seed}.{name}.{part}"
                t.copy_(torch.from_numpy(numbers(full, t.numel(), offset, scale)).reshape(t.shape))


# --- how close a decision was -----------------------------------------------------------------------

closest = [1.0]


def relu(x):
    closest[0] = min(closest[0], float(x.detach().abs().min() / x.detach().pow(2).mean().sqrt()))
    return F.relu(x)


def max_pool(x, kernel, stride, pad):
    y = x.detach()
    windows = F.unfold(F.pad(y, [pad] * 4, value=-1e9), kernel, stride=stride)
    windows = windows.reshape(y.shape[0], y.shape[1], kernel * kernel, -1)
    top = windows.topk(2, dim=2).values
    gap = (top[:, :, 0] - top[:, :, 1])[top[:, :, 0] > 0]  # ties at 0 are a ReLU's, and have no gradient
    if gap.numel() > 0:
        closest[0] = min(closest[0], float(gap.min() / y.pow(2).mean().sqrt()))
    return F.max_pool2d(x, kernel, stride, pad)


# --- blocks -----------------------------------------------------------------------------------------


def conv(c_in, c_out, k, stride=1, groups=1, bias=False):
    return nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=bias)


def projection(c_in, c_out, stride):
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))


class Basic(nn.Module):
    def __init__(self, c_in, c, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, c, 3, stride), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = conv(c, c, 3), nn.BatchNorm2d(c)
        self.downsample, self.out = projection(c_in, c, stride), c

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    def __init__(self, c_in, c, stride, inner=None, groups=1):
        super().__init__()
        inner = inner or c
        self.conv1, self.bn1 = conv(c_in, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv(inner, inner, 3, stride, groups), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv(inner, 4 * c, 1), nn.BatchNorm2d(4 * c)
        self.downsample, self.out = projection(c_in, 4 * c, stride), 4 * c

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Preact(nn.Module):
    def __init__(self, c_in, c, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, c, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(c), conv(c, c, 3)
        self.downsample = nn.Sequential(conv(c_in, c, 1, stride)) if stride != 1 or c_in != c else None
        self.out = c

    def forward(self, x):
        a = relu(self.bn1(x))
        y = self.conv2(relu(self.bn2(self.conv1(a))))
        return y + (x if self.downsample is None else self.downsample(a))


class Pyramid(nn.Module):
    def __init__(self, c_in, c, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, c, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(c), conv(c, c, 3, stride)
        self.bn3, self.conv3 = nn.BatchNorm2d(c), conv(c, 4 * c, 1)
        self.bn4, self.stride, self.out = nn.BatchNorm2d(4 * c), stride, 4 * c

    def forward(self, x):
        y = self.conv1(self.bn1(x))
        y = self.conv3(relu(self.bn3(self.conv2(relu(self.bn2(y))))))
        if self.stride != 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        return self.bn4(y) + F.pad(x, (0, 0, 0, 0, 0, self.out - x.shape[1]))


# --- heads ------------------------------------------------------------------------------------------


class Scala(nn.Module):
    def __init__(self, c_in, mid, last, k, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, mid, 1), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = nn.Conv2d(mid, mid, k, k), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, last, 1), nn.BatchNorm2d(last)
        self.fc = nn.Linear(last, classes)

    def body(self, x):
        for layer, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = relu(bn(layer(x)))
        return x

    def forward(self, x):
        if hasattr(self, "bn0"):
            x = relu(self.bn0(x))
        if hasattr(self, "attention"):
            x = self.attention(x)
        features = self.body(x).mean((2, 3))
        return self.fc(features), features


class ScalaAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, 2, 1), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.ConvTranspose2d(c, c, 4, 2, 1), nn.BatchNorm2d(c)

    def forward(self, x):
        return torch.sigmoid(self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))) * x


class SepConv(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.depth1, self.point1 = conv(c_in, c_in, 3, stride, c_in), conv(c_in, c_in, 1)
        self.depth2, self.point2 = conv(c_in, c_in, 3, 1, c_in), conv(c_in, c_out, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)

    def forward(self, x):
        x = relu(self.bn1(self.point1(self.depth1(x))))
        return relu(self.bn2(self.point2(self.depth2(x))))


class SepConvAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.sepconv, self.bn = SepConv(c, c, 2), nn.BatchNorm2d(c)

    def forward(self, x):
        y = relu(self.bn(self.sepconv(x)))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sigmoid(y) * x


class SepConvHead(Scala):
    """widths: of the chain's ends; the first is the section's."""

    def __init__(self, widths, stride, classes):
        nn.Module.__init__(self)
        self.chain = []
        for i in range(1, len(widths)):
            setattr(self, f"sepconv{i}", SepConv(widths[i - 1], widths[i], stride))
            self.chain.append(f"sepconv{i}")
        self.fc = nn.Linear(widths[-1], classes)

    def body(self, x):
        for name in self.chain:
            x = getattr(self, name)(x)
        return x


# --- whole nets -------------------------------------------------------------------------------------


class Trunk(nn.Module):
    """Subclasses define sections(x) -> the list of outputs at the cuts, and head i's exits."""

    def finish(self, heads, last, classes):
        self.exits = nn.ModuleDict({str(i + 1): h for i, h in enumerate(heads)})
        self.fc = nn.Linear(last, classes)

    def deepest(self, x):
        features = x.mean((2, 3))
        return self.fc(features), features

    def forward(self, x):
        outputs = self.sections(x)
        return [self.exits[str(i + 1)](y) for i, y in enumerate(outputs[:-1])] + [self.deepest(outputs[-1])]


class Staged(Trunk):
    """stages: lists of functions c_in -> block. cuts: after so many blocks."""

    def __init__(self, stem, stem_pool, after, stages, cuts, final_norm):
        super().__init__()
        c, k, stride = stem
        self.conv1 = nn.Conv2d(3, c, k, stride, k // 2, bias=False)
        if after != "nothing":
            self.bn1 = nn.BatchNorm2d(c)
        self.after, self.stem_pool, self.cuts, self.n_stages = after, stem_pool, cuts, len(stages)
        self.widths = []
        for i, blocks in enumerate(stages):
            made = []
            for block in blocks:
                made.append(block(c))
                c = made[-1].out
                self.widths.append(c)
            setattr(self, f"layer{i + 1}", nn.Sequential(*made))
        if final_norm:
            self.bn_final = nn.BatchNorm2d(c)

    def sections(self, x):
        x = self.conv1(x)
        if self.after != "nothing":
            x = self.bn1(x)
        if self.after == "bn-relu":
            x = relu(x)
        if self.stem_pool:
            x = max_pool(x, 3, 2, 1)
        outputs, done = [], 0
        for i in range(self.n_stages):
            for block in getattr(self, f"layer{i + 1}"):
                x, done = block(x), done + 1
                if done in self.cuts:
                    outputs.append(x)
        if hasattr(self, "bn_final"):
            outputs[-1] = relu(self.bn_final(x))
        return outputs


class VGG(Trunk):
    def __init__(self, groups, widths, hidden=None, pooled=1):
        super().__init__()
        layers, c = [], 3
        for n, width in zip(groups, widths):
            for _ in range(n):
                layers += [nn.Conv2d(c, width, 3, 1, 1), nn.BatchNorm2d(width), None]
                c = width
            layers.append(None)
        self.features = nn.ModuleDict({str(i): m for i, m in enumerate(layers) if m is not None})
        self.ends = [sum(groups[:i + 1]) for i in range(len(groups))]
        self.hidden, self.pooled = hidden, pooled

    def finish(self, heads, last, classes):
        super().finish(heads, last, classes)
        if self.hidden:
            del self.fc
            sizes = [last * self.pooled ** 2] + self.hidden + [classes]
            self.classifier = nn.ModuleDict({str(3 * i): nn.Linear(sizes[i], sizes[i + 1])
                                             for i in range(len(sizes) - 1)})

    def deepest(self, x):
        if not self.hidden:
            return super().deepest(x)
        features = x.mean((2, 3))
        y = F.adaptive_avg_pool2d(x, self.pooled).flatten(1)
        last = 3 * len(self.hidden)
        for i in range(0, last, 3):
            y = relu(self.classifier[str(i)](y))
        return self.classifier[str(last)](y), features

    def sections(self, x):
        outputs, index, done = [], 0, 0
        while str(index) in self.features:
            x = relu(self.features[str(index + 1)](self.features[str(index)](x)))
            index, done = index + 3, done + 1
            if done in self.ends:
                x, index = max_pool(x, 2, 2, 0), index + 1
                if done >= self.ends[1]:
                    outputs.append(x)
        return outputs


def finish(net, kind, mid, classes, size, preactivated):
    """Heads for the net's sections, whose shapes are found by trying."""
    with torch.no_grad():
        net.eval()
        outputs = net.double().sections(torch.zeros(1, 3, *size, dtype=torch.float64))
    shapes = [tuple(y.shape[1:3]) for y in outputs]
    last, last_height = shapes[-1]
    heads = []
    for c, height in shapes[:-1]:
        if kind.startswith("scala"):
            head = Scala(c, mid, last, height // last_height, classes)
        else:
            widths, h = [c], height
            while len(widths) == 1 or h > last_height:
                widths.append(min(2 * widths[-1], last))
                h = (h + 1) // 2
            widths[-1] = last
            head = SepConvHead(widths, 2 if height > last_height else 1, classes)
        if kind.endswith("attention"):
            head.attention = (ScalaAttention if kind.startswith("scala") else SepConvAttention)(c)
        if preactivated:
            head.bn0 = nn.BatchNorm2d(c)
        heads.append(head)
    net.finish(heads, last, classes)
    return net.double()


# --- the cases; test_networks.c has the same ones ---------------------------------------------------


def ends(stages):
    return [sum(len(s) for s in stages[:i + 1]) for i in range(len(stages))]


def quarters(stages):
    n = sum(len(s) for s in stages)
    return [math.ceil(n * i / 4) for i in range(1, 5)]


def stage(block, n, c, stride, **more):
    return [lambda c_in, s=stride if i == 0 else 1: block(c_in, c, s, **more) for i in range(n)]


def resnet(block, counts, width):
    stages = [stage(block, n, width << i, 1 if i == 0 else 2) for i, n in enumerate(counts)]
    return Staged((width, 3, 1), False, "bn-relu", stages, ends(stages), False)


def resnext(width):
    stages = [stage(Bottleneck, 3, width << i, 1 if i == 0 else 2, inner=8 * (width << i), groups=8)
              for i in range(3)]
    return Staged((width, 3, 1), False, "bn-relu", stages, quarters(stages), False)


def wide(n, stem, width):
    stages = [stage(Preact, n, width << i, 1 if i == 0 else 2) for i in range(3)]
    return Staged((stem, 3, 1), False, "nothing", stages, quarters(stages), True)


def pyramid_stages(start, tops, counts):
    stages = []
    for top, n, stride in zip(tops, counts, [1, 2, 2]):
        planes = [math.floor(start + (top - start) * (i + 1) / n + 0.5) for i in range(n)]
        stages.append([lambda c_in, p=p, s=stride if i == 0 else 1: Pyramid(c_in, p, s)
                       for i, p in enumerate(planes)])
        start = top
    return stages


def pyramidnet(stem, tops, counts):
    stages = pyramid_stages(stem, tops, counts)
    return Staged((stem, 3, 1), False, "bn", stages, quarters(stages), True)


def small(block, after="bn-relu", final=False, pool=False, cuts=(1, 3), **more):
    """Two stages, a cut inside the first one: its value has several readers."""
    stages = [stage(block, 2, 3, 1, **more), stage(block, 1, 5, 2, **more)]
    return Staged((3, 7, 2) if pool else (3, 3, 1), pool, after, stages, list(cuts), final)


SMALL = {
    "basic": lambda: small(Basic, pool=True),
    "bottleneck": lambda: small(Bottleneck),
    "wide_end": lambda: Staged((3, 3, 1), False, "bn-relu", [stage(Basic, 2, 3, 1), stage(Basic, 1, 10, 2)], [1, 3], False),
    "grouped": lambda: small(Bottleneck, inner=6, groups=3),
    "preact": lambda: small(Preact, after="nothing", final=True),
    "pyramid": lambda: Staged((2, 3, 1), False, "bn", pyramid_stages(2, [4, 7], [2, 1]), [1, 3], True),
    "vgg": lambda: VGG([1, 2, 1], [3, 4, 6]),
    "hidden": lambda: VGG([1, 1, 1], [3, 4, 6], hidden=[7, 5], pooled=2),
}
NETS = {
    "resnet18": lambda: resnet(Basic, [2, 2, 2, 2], 4),
    "resnet50": lambda: resnet(Bottleneck, [3, 4, 6, 3], 4),
    "resnet101": lambda: resnet(Bottleneck, [3, 4, 23, 3], 3),
    "resnet152": lambda: resnet(Bottleneck, [3, 8, 36, 3], 3),
    "vgg19": lambda: VGG([2, 2, 4, 4, 4], [4, 8, 16, 32, 32]),
    "resnext29-8": lambda: resnext(2),
    "wrn20-8": lambda: wide(3, 1, 6),
    "wrn44-8": lambda: wide(7, 1, 4),
    "wrn28-12": lambda: wide(4, 1, 6),
    "pyramidnet101-240": lambda: pyramidnet(2, [12, 22, 32], [11, 11, 11]),
}
# name: (net, head, middle channels, classes, batch, height, width, preactivated)
CASES = {
    "basic": (SMALL["basic"], "scala", 3, 4, 5, 21, 30, False),
    "bottleneck": (SMALL["bottleneck"], "scala", 4, 3, 4, 7, 9, False),
    "grouped": (SMALL["grouped"], "scala", 3, 4, 5, 6, 7, False),
    "preact": (SMALL["preact"], "scala", 3, 4, 5, 7, 6, True),
    "pyramid": (SMALL["pyramid"], "scala", 3, 4, 5, 7, 5, True),
    "vgg": (SMALL["vgg"], "scala", 3, 4, 6, 11, 18, False),
    "hidden": (SMALL["hidden"], "scala", 3, 4, 5, 16, 16, False),
    "scala_attention": (SMALL["basic"], "scala+attention", 3, 4, 5, 16, 24, False),
    "scala_attention_preact": (SMALL["preact"], "scala+attention", 3, 4, 5, 6, 8, True),
    "sepconv_attention": (SMALL["bottleneck"], "sepconv+attention", 0, 4, 5, 8, 6, False),
    "sepconv_attention_wide_end": (SMALL["wide_end"], "sepconv+attention", 0, 3, 4, 8, 8, False),
    "sepconv_attention_preact": (SMALL["preact"], "sepconv+attention", 0, 4, 5, 6, 8, True),
    "resnet18_scala_attention": (NETS["resnet18"], "scala+attention", 8, 5, 4, 16, 16, False),
    "resnet18_sepconv_attention": (NETS["resnet18"], "sepconv+attention", 0, 5, 4, 16, 16, False),
    "resnet18": (NETS["resnet18"], "scala", 8, 5, 4, 16, 16, False),
    "resnet50": (NETS["resnet50"], "scala", 8, 5, 8, 16, 16, False),
    "resnet101": (NETS["resnet101"], "scala", 6, 5, 8, 16, 16, False),
    "resnet152": (NETS["resnet152"], "scala", 6, 5, 8, 16, 16, False),
    "vgg19": (NETS["vgg19"], "scala", 8, 5, 8, 32, 32, False),
    "resnext29-8": (NETS["resnext29-8"], "scala", 4, 5, 4, 12, 12, False),
    "wrn20-8": (NETS["wrn20-8"], "scala", 6, 5, 4, 12, 12, True),
    "wrn44-8": (NETS["wrn44-8"], "scala", 4, 5, 4, 12, 12, True),
    "wrn28-12": (NETS["wrn28-12"], "scala", 4, 5, 4, 12, 12, True),
    "pyramidnet101-240": (NETS["pyramidnet101-240"], "scala", 16, 5, 4, 8, 8, True),
}


def loss(answers, labels):
    """The loss of byot in doc/methods.md, with the squared temperature."""
    teacher, hint = answers[-1][0].detach(), answers[-1][1].detach()
    total = F.cross_entropy(answers[-1][0], labels)
    for z, f in answers[:-1]:
        kl = F.kl_div(F.log_softmax(z / TEMPERATURE, 1), F.softmax(teacher / TEMPERATURE, 1), reduction="batchmean")
        total = total + (1 - ALPHA) * F.cross_entropy(z, labels) + ALPHA * kl * TEMPERATURE ** 2 \
            + LAMBDA * F.mse_loss(f, hint)
    return total


def record(out, name, tensor, whole=False):
    values = tensor.detach().reshape(-1)
    values = values.tolist() if whole or values.numel() <= WHOLE else projections(values)
    out.write(f"{name} {len(values)}\n".encode())
    out.write(struct.pack(f"<{len(values)}f", *values))


def make(name, seeds):
    build, kind, mid, classes, batch, height, width, preactivated = CASES[name]
    net = finish(build(), kind, mid, classes, (height, width), preactivated)
    size = batch * 3 * height * width

    def inputs(seed):
        images = torch.from_numpy(numbers(f"{seed}.images", size, 0.0, 2.0)).reshape(batch, 3, height, width)
        labels = (hashes(f"{seed}.labels", batch) % np.uint64(classes)).astype(np.int64)
        return images, torch.from_numpy(labels)

    def gradients(which, images, labels):
        which.train()
        which.zero_grad(set_to_none=True)
        loss(which(images), labels).backward()
        return [p.grad.double() for p in which.parameters()]

    best = (math.inf, 0, 0.0, 0.0)
    single = copy.deepcopy(net).float()
    for seed in range(1, seeds + 1):
        fill(net, seed)
        fill(single, seed)
        images, labels = inputs(seed)
        closest[0] = 1.0
        exact = gradients(net, images, labels)
        closeness = closest[0]
        rounded = gradients(single, images.float(), labels)
        error = max(float((a - b).norm() / a.norm()) for a, b in zip(exact, rounded) if a.norm() > 1e-7)
        best = min(best, (error / closeness, seed, error, closeness))
    seed = best[1]
    fill(net, seed)
    images, labels = inputs(seed)
    path = os.path.join(HERE, name + ".bin")
    with open(path, "wb") as out:
        record(out, "seed", torch.tensor([float(seed)]))
        record(out, "shape", torch.tensor([float(v) for v in (classes, batch, height, width)]))
        record(out, "trained", torch.tensor([float(sum(p.numel() for p in net.parameters()))]))
        net.eval()
        with torch.no_grad():
            for i, (z, _) in enumerate(net(images)):
                record(out, f"eval.logits.{i + 1}", z, whole=True)
        net.train()
        net.zero_grad(set_to_none=True)
        answers = net(images)
        total = loss(answers, labels)
        total.backward()
        record(out, "total", total)
        for i, (z, f) in enumerate(answers):
            record(out, f"train.logits.{i + 1}", z, whole=True)
            record(out, f"train.features.{i + 1}", f)
        for n, p in net.named_parameters():
            record(out, "grad." + n, p.grad)
        for n, t in net.named_buffers():
            if "running" in n:
                record(out, "after." + n, t)
    print(f"{name}: seed {seed}, closest {best[3]:.2g}, float32 off by {best[2]:.2g}, "
          f"{os.path.getsize(path)} bytes, logits {float(answers[-1][0].detach().abs().max()):.3g}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.makedirs(HERE, exist_ok=True)
    for chosen in sys.argv[1:] or CASES:
        make(chosen, 40)
