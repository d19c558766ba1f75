"""Makes tests/train/vectors/teacher.bin: what a teacher and a peer make a small network learn, computed by PyTorch
in float64: losses and all gradients of kd, fitnet, at and dml.

Run with Debian's python3-torch from anywhere: /usr/bin/python3 tests/train/make_vectors.py
The losses are written down here a second time, from the papers and not from our C. The teacher's maps are of other
sizes than the student's, smaller and larger ones, none a multiple, so that they have to be brought together. A file
is a list of records: a line "name count", then count float32 in little-endian order; tensors are in PyTorch's layouts.
A ReLU whose input is nearly 0 may be on in float64 and off in float32; of some seeds the one is taken whose closest
one is the least close.
"""
import os
import struct

import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
HEIGHT, WIDTH, CLASSES, BATCH = 15, 19, 7, 5
NETS = {"student": ([3, 4, 5, 6], [1, 2, 2, 2]),  # channels and strides of four stages of one basic block
        "teacher": ([4, 4, 6, 8], [2, 2, 1, 1]),
        "peer": ([2, 3, 4, 5], [1, 2, 2, 2])}
KD = dict(temperature=4.0, alpha=0.9)
FITNET = dict(temperature=4.0, alpha=0.9, weight=10.0)
AT = dict(temperature=3.0, alpha=0.25, beta=1000.0)
DML = dict(temperature=2.0, alpha=0.5)
closest = [1e9]


def relu(x):
    closest[0] = min(closest[0], x.abs().min().item())
    return F.relu(x)


class Basic(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.downsample = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Net(nn.Module):
    """-> logits, maps at the ends of its four sections."""

    def __init__(self, channels, strides):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, channels[0], 3, 1, 1, bias=False), nn.BatchNorm2d(channels[0])
        before = channels[0]
        for i, (c, s) in enumerate(zip(channels, strides)):
            setattr(self, f"layer{i + 1}", nn.Sequential(Basic(before, c, s)))
            before = c
        self.fc = nn.Linear(before, CLASSES)

    def forward(self, x):
        x, maps = relu(self.bn1(self.conv1(x))), []
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
            maps.append(x)
        return self.fc(x.mean((2, 3))), maps


def randomise(net):
    """Values that float32 holds exactly, with norms that do something."""
    with torch.no_grad():
        for name, p in list(net.named_parameters()) + list(net.named_buffers()):
            if "num_batches" in name:
                continue
            if "running_var" in name:
                p.uniform_(0.5, 2.0)
            elif "running_mean" in name:
                p.normal_(0, 0.3)
            elif p.dim() == 4:
                nn.init.kaiming_normal_(p, mode="fan_out", nonlinearity="relu")
            elif p.dim() == 2:
                p.normal_(0, 0.5)
            else:
                p.normal_(1.0 if "weight" in name else 0.0, 0.3)
            p.copy_(p.float().double())


def kl(student, teacher, temperature):
    """KL(teacher || student) of the softened answers, mean over images, times T^2."""
    return F.kl_div(F.log_softmax(student / temperature, 1), F.softmax(teacher.detach() / temperature, 1),
                    reduction="batchmean") * temperature ** 2


def together(a, b):
    """Both maps at the smaller height and width."""
    size = [min(x, y) for x, y in zip(a.shape[2:], b.shape[2:])]
    return F.adaptive_avg_pool2d(a, size), F.adaptive_avg_pool2d(b, size)


def attention(a):
    return F.normalize(a.pow(2).sum(1).flatten(1))


def record(out, name, tensor):
    values = tensor.detach().reshape(-1).float().tolist()
    out.write(f"{name} {len(values)}\n".encode())
    out.write(struct.pack(f"<{len(values)}f", *values))


def gradients(out, name, net):
    for n, p in net.named_parameters():
        record(out, f"{name}.{n}", p.grad)
    net.zero_grad(set_to_none=True)


def make(out, seed):
    """Returns how near to 0 the input of a ReLU comes; writes only with a file."""
    torch.manual_seed(seed)
    closest[0] = 1e9
    nets = {name: Net(*shape).double() for name, shape in NETS.items()}
    for net in nets.values():
        randomise(net)
    student, teacher, peer = nets.values()
    regressor = nn.Conv2d(NETS["student"][0][1], NETS["teacher"][0][1], 1).double()
    with torch.no_grad():
        for p in regressor.parameters():
            p.normal_(0, 0.5)
            p.copy_(p.float().double())
    images = torch.randn(BATCH, 3, HEIGHT, WIDTH, dtype=torch.float64).float().double()
    labels = torch.randint(0, CLASSES, (BATCH,))
    teacher.eval()
    with torch.no_grad():
        taught, maps = teacher(images)
    values = {n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in nets.items()}
    z, own = student(images)
    other, _ = peer(images)
    if out is None:
        return closest[0]

    record(out, "images", images)
    record(out, "labels", labels.double())
    for name, state in values.items():
        for n, t in state.items():
            if "num_batches" not in n:
                record(out, f"{name}.{n}", t)
    record(out, "teacher.logits", taught)
    record(out, "regressor", torch.cat([p.reshape(-1) for p in regressor.parameters()]))

    def ce(logits):
        return F.cross_entropy(logits, labels)

    total = (1 - KD["alpha"]) * ce(z) + KD["alpha"] * kl(z, taught, KD["temperature"])
    total.backward(retain_graph=True)
    record(out, "kd.total", total)
    gradients(out, "kd.grad", student)

    a, b = together(own[1], maps[1])
    hint = FITNET["weight"] * F.mse_loss(regressor(a), b)
    total = (1 - FITNET["alpha"]) * ce(z) + FITNET["alpha"] * kl(z, taught, FITNET["temperature"]) + hint
    total.backward(retain_graph=True)
    record(out, "fitnet.maps", hint)
    record(out, "fitnet.total", total)
    record(out, "fitnet.dregressor", torch.cat([p.grad.reshape(-1) for p in regressor.parameters()]))
    gradients(out, "fitnet.grad", student)

    pairs = [together(a, b) for a, b in zip(own, maps)]
    terms = AT["beta"] / 2 * sum((attention(a) - attention(b)).pow(2).mean() for a, b in pairs)
    total = (1 - AT["alpha"]) * ce(z) + AT["alpha"] * kl(z, taught, AT["temperature"]) + terms
    total.backward(retain_graph=True)
    record(out, "at.maps", terms)
    record(out, "at.total", total)
    gradients(out, "at.grad", student)

    total = ce(z) + DML["alpha"] * kl(z, other, DML["temperature"])
    peers = ce(other) + DML["alpha"] * kl(other, z, DML["temperature"])
    (total + peers).backward()
    record(out, "dml.total", total)
    record(out, "dml.peer.total", peers)
    gradients(out, "dml.grad", student)
    gradients(out, "dml.peer.grad", peer)
    return closest[0]


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    best = max(range(60), key=lambda seed: make(None, seed))
    with open(os.path.join(HERE, "teacher.bin"), "wb") as file:
        print("seed", best, "distance", make(file, best))
