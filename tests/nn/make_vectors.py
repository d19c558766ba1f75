"""Makes tests/nn/vectors/*.bin: a small ResNet18 with heads, computed by PyTorch in float64.

Run with Debian's python3-torch from anywhere: /usr/bin/python3 tests/nn/make_vectors.py
The network is written down here a second time, from the facts and not from our C, so that a wrong
reading of either shows. A file is a list of records: a line "name count", then count float32 in
little-endian order. Tensors are in PyTorch's layouts (images and features NCHW, weights OIHW).
"""
import os
import struct

import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
TEMPERATURE, ALPHA, LAMBDA = 3.0, 0.3, 0.5  # a lambda that shows in the gradients


class Basic(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Head(nn.Module):
    def __init__(self, c_in, mid, c_out, k, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, mid, 1), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = nn.Conv2d(mid, mid, k, k), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, c_out, 1), nn.BatchNorm2d(c_out)
        self.fc = nn.Linear(c_out, classes)

    def forward(self, x):
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(bn(conv(x)))
        features = x.mean((2, 3))
        return self.fc(features), features


class Net(nn.Module):
    def __init__(self, width, mid, classes, height):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        c, sides = width, []
        for i in range(4):
            out, stride = width << i, 1 if i == 0 else 2
            setattr(self, f"layer{i + 1}", nn.Sequential(Basic(c, out, stride), Basic(out, out, 1)))
            c, height = out, (height - 1) // stride + 1
            sides.append(height)
        self.exits = nn.ModuleDict({str(i + 1): Head(width << i, mid, c, sides[i] // sides[3], classes)
                                    for i in range(3)})
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        answers = []
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
            if i < 3:
                answers.append(self.exits[str(i + 1)](x))
        features = x.mean((2, 3))
        answers.append((self.fc(features), features))
        return answers


def randomise(net):
    """Values that float32 holds exactly, with norms that do something."""
    for name, p in list(net.named_parameters()) + list(net.named_buffers()):
        if "num_batches" in name:
            continue
        with torch.no_grad():
            if "running_var" in name:
                p.uniform_(0.5, 2.0)
            elif "running_mean" in name:
                p.normal_(0, 0.3)
            elif p.dim() == 4:
                nn.init.kaiming_normal_(p, mode="fan_out", nonlinearity="relu")
            elif p.dim() == 2:
                p.normal_(0, 0.5)
            elif ".bn" in name or name.startswith("bn") or "downsample.1" in name:
                p.normal_(1.0 if "weight" in name else 0.0, 0.3)
            else:
                p.normal_(0, 0.3)
            p.copy_(p.float().double())


def losses(method, answers, labels):
    """-> (total, {term: value}), the losses of doc/methods.md, with the squared temperature."""
    terms = {}
    ce = [F.cross_entropy(z, labels) for z, _ in answers]
    for i, value in enumerate(ce):
        terms[f"ce.{i + 1}"] = value
    if method == "baseline":
        return ce[-1], terms
    if method == "dsn":
        return sum(ce), terms
    teacher, hint = answers[-1][0].detach(), answers[-1][1].detach()
    total = ce[-1]
    for i, (z, f) in enumerate(answers[:-1]):
        kl = F.kl_div(F.log_softmax(z / TEMPERATURE, 1), F.softmax(teacher / TEMPERATURE, 1), reduction="batchmean")
        terms[f"kl.{i + 1}"] = kl
        terms[f"kl_scaled.{i + 1}"] = kl * TEMPERATURE ** 2
        terms[f"hint.{i + 1}"] = F.mse_loss(f, hint)
        total = total + (1 - ALPHA) * ce[i] + ALPHA * kl * TEMPERATURE ** 2 + LAMBDA * terms[f"hint.{i + 1}"]
    return total, terms


def record(out, name, tensor):
    values = tensor.detach().reshape(-1).float().tolist()
    out.write(f"{name} {len(values)}\n".encode())
    out.write(struct.pack(f"<{len(values)}f", *values))


def tensors(net):
    return [(n, t) for n, t in net.state_dict().items() if "num_batches" not in n]


def make(name, seed, width, mid, classes, batch, height, width_px, methods):
    torch.manual_seed(seed)
    net = Net(width, mid, classes, height).double()
    randomise(net)
    images = torch.randn(batch, 3, height, width_px, dtype=torch.float64).float().double()
    labels = torch.randint(0, classes, (batch,))
    with open(os.path.join(HERE, name), "wb") as out:
        shape = [width, mid, classes, batch, height, width_px]
        record(out, "shape", torch.tensor(shape, dtype=torch.float64))
        record(out, "images", images)
        record(out, "labels", labels.double())
        for n, t in tensors(net):
            record(out, "param." + n, t)
        net.eval()
        with torch.no_grad():
            for i, (z, f) in enumerate(net(images)):
                record(out, f"eval.logits.{i + 1}", z)
                record(out, f"eval.features.{i + 1}", f)
        before = {n: t.clone() for n, t in net.state_dict().items()}
        net.train()
        for method in methods:
            net.load_state_dict(before)
            net.zero_grad(set_to_none=True)
            answers = net(images)
            total, terms = losses(method, answers, labels)
            total.backward()
            record(out, f"{method}.total", total)
            for n, p in net.named_parameters():
                if p.grad is not None:
                    record(out, f"{method}.grad.{n}", p.grad)
            if method == "byot":
                for n, value in terms.items():
                    record(out, "loss." + n, value)
                for i, (z, f) in enumerate(answers):
                    record(out, f"train.logits.{i + 1}", z)
                    record(out, f"train.features.{i + 1}", f)
                for n, t in tensors(net):
                    if "running" in n:
                        record(out, "after." + n, t)


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    make("resnet18_even.bin", 1, width=4, mid=8, classes=10, batch=5, height=16, width_px=16,
         methods=["baseline", "dsn", "byot"])
    make("resnet18_odd.bin", 2, width=2, mid=3, classes=7, batch=4, height=15, width_px=19, methods=["byot"])
