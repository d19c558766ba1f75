"""Makes import_vectors.json: what PyTorch's modules call their tensors, and the logits that they give.

Run with Debian's python3-torch: /usr/bin/python3 tests/tool/make_import_vectors.py
The networks are written down here as torchvision and the usual collections have them, so that names and shapes are
PyTorch's own (state_dict()); the numbers are those of import_numbers.py. Logits are computed in float64.
"""
import json, os, sys

import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from import_numbers import images, values

CLASSES, IMAGES = 5, 2


class Basic(nn.Module):
    """torchvision's BasicBlock; its shortcut is `downsample` there, `shortcut` in collections for CIFAR."""

    def __init__(self, inputs, outputs, stride, shortcut="downsample"):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.which = None
        if stride != 1 or inputs != outputs:
            self.which = shortcut
            setattr(self, shortcut, nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                                  nn.BatchNorm2d(outputs)))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (getattr(self, self.which)(x) if self.which else x))


class ResNet18(nn.Module):
    def __init__(self, width, large, shortcut="downsample", last="fc"):
        super().__init__()
        self.large, self.last = large, last
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False) if large else nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for s in range(4):
            channels = width << s
            setattr(self, f"layer{s + 1}", nn.Sequential(Basic(before, channels, 1 if s == 0 else 2, shortcut),
                                                         Basic(channels, channels, 1, shortcut)))
            before = channels
        setattr(self, last, nn.Linear(before, CLASSES))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        for s in range(4):
            x = getattr(self, f"layer{s + 1}")(x)
        return getattr(self, self.last)(x.mean((2, 3)))


class VGG19(nn.Module):
    """torchvision's vgg19_bn: features, and classifier with hidden layers, or a single one for CIFAR."""

    def __init__(self, width, hidden):
        super().__init__()
        layers, before = [], 3
        for blocks, factor in ((2, 1), (2, 2), (4, 4), (4, 8), (4, 8)):
            for _ in range(blocks):
                layers += [nn.Conv2d(before, width * factor, 3, 1, 1), nn.BatchNorm2d(width * factor), nn.ReLU()]
                before = width * factor
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, CLASSES) if not hidden else nn.Sequential(
            nn.Linear(49 * before, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.convShortcut(a) if hasattr(self, "convShortcut") else x)


class WideGroup(nn.Module):
    def __init__(self, inputs, outputs, stride, blocks):
        super().__init__()
        self.layer = nn.Sequential(*[WideBlock(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1)
                                     for i in range(blocks)])

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """As in the collections that have block1.layer.0."""

    def __init__(self, stem, width, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.block1 = WideGroup(stem, width, 1, blocks)
        self.block2 = WideGroup(width, 2 * width, 2, blocks)
        self.block3 = WideGroup(2 * width, 4 * width, 2, blocks)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, CLASSES)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


class SequenceBlock(nn.Module):
    """A block whose way through is one sequence, `residual_function`; a bottleneck has three convolutions."""

    def __init__(self, inputs, outputs, stride, bottleneck):
        super().__init__()
        last = 4 * outputs if bottleneck else outputs
        convs = [(inputs, outputs, 1, 1), (outputs, outputs, 3, stride), (outputs, last, 1, 1)] if bottleneck else [
            (inputs, outputs, 3, stride), (outputs, last, 3, 1)]
        layers = []
        for a, b, side, step in convs:
            layers += [nn.Conv2d(a, b, side, step, side // 2, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.residual_function = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != last:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, last, 1, stride, bias=False), nn.BatchNorm2d(last))

    def forward(self, x):
        return F.relu(self.residual_function(x) + self.shortcut(x))


class SequenceResNet(nn.Module):
    """The names of the collection pytorch-cifar100: conv1 is stem and norm, conv2_x .. conv5_x are the stages."""

    def __init__(self, width, blocks, bottleneck):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        before, more = width, 4 if bottleneck else 1
        for s, count in enumerate(blocks):
            channels, layers = width << s, []
            for i in range(count):
                layers.append(SequenceBlock(before, channels, 2 if s > 0 and i == 0 else 1, bottleneck))
                before = channels * more
            setattr(self, f"conv{s + 2}_x", nn.Sequential(*layers))
        self.fc = nn.Linear(before, CLASSES)

    def forward(self, x):
        x = self.conv1(x)
        for s in range(4):
            x = getattr(self, f"conv{s + 2}_x")(x)
        return self.fc(x.mean((2, 3)))


# Name, spec in models/, width, side of the images, kind of numbers, what is put before the names, network.
CASES = [
    ("torchvision's ResNet18", "resnet18-64", 4, 64, "F32", "", ResNet18(4, True)),
    ("a ResNet18 for CIFAR, wrapped", "resnet18", 4, 32, "F64", "module.", ResNet18(4, False, "shortcut", "linear")),
    ("a VGG19 for CIFAR", "vgg19", 4, 32, "F16", "", VGG19(4, 0)),
    ("torchvision's VGG19", "vgg19-224", 2, 224, "BF16", "", VGG19(2, 128)),
    ("a WideResNet", "wrn20-8", 8, 32, "F32", "_orig_mod.module.", WideResNet(1, 8, 3)),
    ("a ResNet18 of sequences", "resnet18", 4, 32, "F32", "net.", SequenceResNet(4, (2, 2, 2, 2), False)),
    ("a ResNet50 of sequences", "resnet50", 2, 32, "F32", "model.backbone.", SequenceResNet(2, (3, 4, 6, 3), True)),
]


def main():
    out = []
    for name, spec, width, side, kind, prefix, net in CASES:
        state = net.double().eval().state_dict()
        for key, tensor in state.items():
            tensor.copy_(torch.tensor(values(prefix + key, list(tensor.shape)), dtype=torch.float64).reshape(tensor.shape))
        x = torch.tensor(images(name, IMAGES * 3 * side * side), dtype=torch.float64).reshape(IMAGES, 3, side, side)
        with torch.no_grad():
            logits = net(x)
        print(name, sum(t.numel() for t in state.values()), logits.abs().max().item(), logits.std(0).max().item())
        out.append({"name": name, "spec": spec, "width": width, "side": side, "classes": CLASSES, "images": IMAGES,
                    "tensors": [[prefix + k, "I64" if k.endswith("tracked") else kind, list(t.shape)]
                                for k, t in state.items()],
                    "logits": [float("%.9g" % v) for v in logits.flatten().tolist()]})
    with open(os.path.join(HERE, "import_vectors.json"), "w") as f:
        f.write("[" + ",\n".join(json.dumps(c) for c in out) + "]\n")


main()
