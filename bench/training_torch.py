#!/usr/bin/python3
"""The peer of bench/training: a network of a spec (blocks basic, bottleneck or preact, heads scala) in PyTorch, and the
seconds of whole SGD steps of it on noise. Prints one line of JSON. Needs Debian's python3-torch."""
import argparse, json, time

import torch
import torch.nn as nn
import torch.nn.functional as F

EXPANSION = 4  # of a bottleneck


def conv(inputs, outputs, kernel, stride=1, bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


class Basic(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.outputs = channels
        self.body = nn.Sequential(conv(inputs, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                                  conv(channels, channels, 3), nn.BatchNorm2d(channels))
        self.shortcut = projection(inputs, channels, stride)

    def forward(self, x):
        return F.relu(self.body(x).add_(self.shortcut(x)), inplace=True)


class Bottleneck(Basic):
    def __init__(self, inputs, channels, stride):
        nn.Module.__init__(self)
        self.outputs = EXPANSION * channels
        self.body = nn.Sequential(conv(inputs, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                                  conv(channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                                  conv(channels, self.outputs, 1), nn.BatchNorm2d(self.outputs))
        self.shortcut = projection(inputs, self.outputs, stride)


def projection(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Preact(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.outputs = channels
        self.norm = nn.BatchNorm2d(inputs)
        self.body = nn.Sequential(conv(inputs, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
                                  conv(channels, channels, 3))
        same = stride == 1 and inputs == channels
        self.shortcut = None if same else conv(inputs, channels, 1, stride)

    def forward(self, x):
        a = F.relu(self.norm(x), inplace=True)
        return self.body(a).add_(x if self.shortcut is None else self.shortcut(a))


BLOCKS = {"basic": Basic, "bottleneck": Bottleneck, "preact": Preact}


class Head(nn.Module):
    def __init__(self, inputs, middle, outputs, kernel, classes, preactivated):
        super().__init__()
        before = [nn.BatchNorm2d(inputs), nn.ReLU(inplace=False)] if preactivated else []
        self.body = nn.Sequential(*before,
                                  nn.Conv2d(inputs, middle, 1), nn.BatchNorm2d(middle), nn.ReLU(inplace=True),
                                  nn.Conv2d(middle, middle, kernel, kernel), nn.BatchNorm2d(middle), nn.ReLU(inplace=True),
                                  nn.Conv2d(middle, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
        self.fc = nn.Linear(outputs, classes)

    def forward(self, x):
        features = F.adaptive_avg_pool2d(self.body(x), 1).flatten(1)
        return self.fc(features), features


class Network(nn.Module):
    def __init__(self, spec, width, heads):
        super().__init__()
        own, stem, stages, classes = spec["stages"][0]["channels"], spec["stem"], spec["stages"], spec["classes"]
        scaled = lambda channels: max(1, (2 * channels * width + own) // (2 * own))
        channels = scaled(stem["channels"])
        self.stem = nn.Sequential(nn.Conv2d(3, channels, stem["kernel"], stem["stride"], stem["pad"], bias=False))
        if stem.get("after", "bn-relu") == "bn-relu":
            self.stem.extend([nn.BatchNorm2d(channels), nn.ReLU(inplace=True)])
        count = sum(stage["blocks"] for stage in stages)
        cuts = spec["cuts"] if isinstance(spec["cuts"], list) else [-(-count * i // 4) for i in range(1, 5)]
        sections, blocks, side, border = [], [], 32 // stem["stride"], []
        for stage in stages:
            for i in range(stage["blocks"]):
                stride = stage.get("stride", 1) if i == 0 else 1
                side = -(-side // stride)
                blocks.append(BLOCKS[stage["block"]](channels, scaled(stage["channels"]), stride))
                channels = blocks[-1].outputs
                if len(blocks) + sum(map(len, sections)) == cuts[len(sections)]:
                    sections.append(nn.Sequential(*blocks))
                    border.append((channels, side))
                    blocks = []
        preactivated = stages[-1]["block"] == "preact"
        self.sections = nn.ModuleList(sections)
        self.end = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)) if preactivated else nn.Identity()
        self.fc = nn.Linear(channels, classes)
        middle = scaled(spec["heads"]["mid_channels"])
        self.heads = nn.ModuleList([Head(c, middle, channels, s // side, classes, preactivated) for c, s in border[:-1]]
                                   if heads else [])

    def forward(self, x):
        """[(logits, features)], the deepest one last."""
        x, outputs = self.stem(x), []
        for i, section in enumerate(self.sections):
            x = section(x)
            if i < len(self.heads):
                outputs.append(self.heads[i](x))
        features = F.adaptive_avg_pool2d(self.end(x), 1).flatten(1)
        return outputs + [(self.fc(features), features)]


def loss_of(outputs, labels, temperature=3.0, alpha=0.3, weight=0.03):
    """Zhang et al. 2019: labels, the deepest classifier's softened answers and its features."""
    logits, features = (t.detach() for t in outputs[-1])
    loss = F.cross_entropy(outputs[-1][0], labels)
    for z, f in outputs[:-1]:
        kd = F.kl_div(F.log_softmax(z / temperature, 1), F.softmax(logits / temperature, 1), reduction="batchmean")
        loss = loss + (1 - alpha) * F.cross_entropy(z, labels) + alpha * temperature ** 2 * kd + weight * F.mse_loss(f, features)
    return loss


def status(name):
    """A size of this process from the kernel, in bytes."""
    with open("/proc/self/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith(name + ":"))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("spec", help="models/NAME.json")
    p.add_argument("--width", type=int, required=True, help="channels of the first stage")
    p.add_argument("--heads", action="store_true", help="all classifiers and BYOT's losses; else the deepest alone")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--channels-last", action="store_true", help="NHWC instead of NCHW")
    p.add_argument("--rounds", type=int, default=3, help="steps that are timed, of which the best counts (3)")
    args = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    with open(args.spec) as f:
        spec = json.load(f)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    library = status("VmRSS")
    net = Network(spec, args.width, args.heads).to(memory_format=layout).train()
    sgd = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    x = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.arange(args.batch) % spec["classes"]

    best = float("inf")
    for i in range(args.rounds + 1):  # the first one warms up
        began = time.perf_counter()
        sgd.zero_grad(set_to_none=True)
        loss_of(net(x), labels).backward()
        sgd.step()
        if i > 0:
            best = min(best, time.perf_counter() - began)
    print(json.dumps({"ms": 1e3 * best, "img_per_s": args.batch / best, "params": sum(p.numel() for p in net.parameters()),
                      "library_bytes": library, "peak_bytes": status("VmHWM"), "torch": torch.__version__}))


main()
