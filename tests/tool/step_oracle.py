"""What `train --dump-step` wrote, done again by PyTorch in float64: forward, losses, gradients, one step of the optimizer.
Written from the papers and doc/training.md, not from our C. Run by test_dump_step.py with the Python that has PyTorch:
step_oracle.py FILE [TEACHER] -> one line of JSON: what was compared, and how far apart it is (relative L2); "closest" is the
input of a ReLU that is nearest to 0, where rounding would decide."""
import json, struct, sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def read(path):
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(size)), f.read()
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            first, end = t["data_offsets"]
            values = np.frombuffer(data[first:end], "<f4").reshape(t["shape"]).astype(np.float64)
            tensors[name] = torch.from_numpy(values)
    return tensors, header["__metadata__"]


def below(tensors, prefix):
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


class Network:
    """A residual network of basic blocks with heads of the kind scala, as functions of tensors by name."""

    def __init__(self, w, statistics=None):
        self.w, self.statistics, self.batches, self.closest = w, statistics, {}, 1.0

    def relu(self, x):
        self.closest = min(self.closest, float(x.detach().abs().min() / x.detach().pow(2).mean().sqrt()))
        return F.relu(x)

    def conv(self, name, x, stride=1, pad=None):
        weight = self.w[name + ".weight"]
        return F.conv2d(x, weight, self.w.get(name + ".bias"), stride, weight.shape[2] // 2 if pad is None else pad)

    def norm(self, name, x):
        weight, bias = self.w[name + ".weight"], self.w[name + ".bias"]
        if self.statistics is not None:
            mean, var = (self.statistics[f"{name}.running_{k}"] for k in ("mean", "var"))
            return F.batch_norm(x, mean, var, weight, bias)
        self.batches[name + ".running_mean"] = x.detach().mean((0, 2, 3))
        self.batches[name + ".running_var"] = x.detach().var((0, 2, 3), unbiased=True)
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def block(self, name, x, stride):
        y = self.relu(self.norm(name + ".bn1", self.conv(name + ".conv1", x, stride)))
        y = self.norm(name + ".bn2", self.conv(name + ".conv2", y))
        if name + ".downsample.0.weight" in self.w:
            x = self.norm(name + ".downsample.1", self.conv(name + ".downsample.0", x, stride))
        return self.relu(y + x)

    def __call__(self, x):
        """-> logits and features of each exit, the deepest last"""
        x, said = self.relu(self.norm("bn1", self.conv("conv1", x))), []
        for layer in range(1, 5):
            i = 0
            while f"layer{layer}.{i}.conv1.weight" in self.w:
                x = self.block(f"layer{layer}.{i}", x, 2 if layer > 1 and i == 0 else 1)
                i += 1
            head, y = (f"exits.{layer}.", x) if layer < 4 else ("", x)
            if layer < 4:
                for k in (1, 2, 3):
                    side = self.w[f"{head}conv{k}.weight"].shape[2]
                    y = self.relu(self.norm(f"{head}bn{k}", self.conv(f"{head}conv{k}", y, side, 0)))
            features = y.mean((2, 3))
            said.append((F.linear(features, self.w[head + "fc.weight"], self.w[head + "fc.bias"]), features))
        return said


def cross_entropy(z, targets, weights):
    return -(targets * weights * F.log_softmax(z, 1)).sum(1).mean()


def answers(z, teacher, t, scale):
    return F.kl_div(F.log_softmax(z / t, 1), F.softmax(teacher.detach() / t, 1),
                    reduction="batchmean") * (t * t if scale else 1)


def losses(option, said, targets, source, weights):
    """-> {term: [of each exit]} of one micro-batch"""
    method, (deepest, deepest_features) = option["method"], said[-1]
    terms = {k: [torch.zeros(())] * len(said) for k in ("labels", "answers", "hint")}
    t, alpha = float(option.get("temperature", 0)), float(option.get("alpha", 0))
    scale = option.get("kd-scale", "on") == "on"
    for i, (z, features) in enumerate(said):
        if i == len(said) - 1:
            share = 1 - alpha if method == "kd" else 1
            terms["labels"][i] = share * cross_entropy(z, targets, weights)
            if method in ("kd", "dml"):
                terms["answers"][i] = alpha * answers(z, source, t, scale)
        elif method == "dsn":
            terms["labels"][i] = cross_entropy(z, targets, weights)
        elif method == "byot":
            terms["labels"][i] = (1 - alpha) * cross_entropy(z, targets, weights)
            terms["answers"][i] = alpha * answers(z, deepest, t, scale)
            terms["hint"][i] = float(option["lambda"]) * (features - deepest_features.detach()).pow(2).mean()
    return terms


def distance(a, b):
    scale = float(b.norm())
    return float((a - b).norm()) / scale if scale > 0 else float(a.norm())


def moved(before, after, wanted):
    """How far a step is from the wanted one, less what float32 cannot hold where it ends."""
    off = float((after - wanted).norm()) - 2.0 ** -23 * float(after.norm())
    return max(off, 0.0) / float((wanted - before).norm())


def optimize(option, lr, step, w, gradient, moments, learns):
    """One step by torch.optim, of what learns; -> the moments behind it"""
    decays = lambda k: option["decay-on"] == "all" or w[k].dim() > 1
    groups = [{"params": [w[k] for k in learns if decays(k) == d], "weight_decay": float(option["weight-decay"]) * d}
              for d in (True, False)]
    groups = [g for g in groups if g["params"]]
    for k in learns:
        w[k].grad = gradient[k].clone()
    if float(option["clip"]) > 0:
        torch.nn.utils.clip_grad_norm_([w[k] for k in learns], float(option["clip"]))
    if option["optimizer"] == "adamw":
        optimizer = torch.optim.AdamW(groups, lr, (float(option["adam-beta1"]), float(option["adam-beta2"])),
                                      float(option["adam-epsilon"]))
        for k in learns:
            optimizer.state[w[k]] = {"step": torch.tensor(float(step - 1))} | {m: v[k].clone() for m, v in moments.items()}
        names = {m: m for m in moments}
    else:
        optimizer = torch.optim.SGD(groups, lr, float(option["momentum"]), nesterov=option["nesterov"] == "on")
        for k in learns:
            optimizer.state[w[k]] = {"momentum_buffer": moments["momentum"][k].clone()}
        names = {"momentum": "momentum_buffer"}
    optimizer.step()
    return {m: {k: optimizer.state[w[k]][name] for k in learns} for m, name in names.items()}


def main(path, teacher=None):
    tensors, meta = read(path)
    option = {"momentum": "0.9", "nesterov": "off", "optimizer": "sgd", "clip": "0", "decay-on": "all", "accumulate": "1",
              "ema": "0", "adam-beta1": "0.9", "adam-beta2": "0.999", "adam-epsilon": "1e-08"} | below(meta, "option.")
    before, after = below(tensors, "before.model."), below(tensors, "after.model.")
    gradient = below(tensors, "gradient.")
    w = {k: v.clone().requires_grad_() for k, v in before.items() if "running" not in k}
    assert set(w) == set(gradient) and set(before) == set(after)
    found = {"step": int(meta["step"]), "closest": 1.0}

    # Forward and back, a micro-batch at a time; norms take the statistics of each.
    parts, running = int(option["accumulate"]), {k: v.clone() for k, v in before.items() if "running" in k}
    rows = [t.chunk(parts) if t is not None else [None] * parts
            for t in (tensors["input"], tensors["targets"], tensors.get("source"))]
    sums, logits, whole = {}, [], 0
    for x, targets, source in zip(*rows):
        net = Network(w)
        said = net(x)
        found["closest"] = min(found["closest"], net.closest)
        terms = losses(option, said, targets, source, tensors.get("class_weights", torch.ones(())))
        value = sum(sum(v) for v in terms.values()) / parts
        value.backward()
        whole += float(value)
        logits.append([z.detach() for z, _ in said])
        for k, v in net.batches.items():
            running[k] = 0.9 * running[k] + 0.1 * v
        for k, v in terms.items():
            sums[k] = sums.get(k, 0) + torch.stack([t.detach() for t in v]) / parts
    for i, z in enumerate(zip(*logits), 1):
        if f"logits.{i}" in tensors:
            found[f"logits.{i}"] = distance(tensors[f"logits.{i}"], torch.cat(z))
    found["loss"] = distance(tensors["loss"], torch.tensor([whole]))
    for k, v in sums.items():
        found["loss." + k] = distance(tensors["loss." + k], v)
    own = {k: v.grad if v.grad is not None else torch.zeros_like(v) for k, v in w.items()}
    found["gradient"] = max(distance(gradient[k], own[k]) for k in w if k[-4:] != "bias" or "conv" not in k)
    flat = lambda d: torch.cat([d[k].reshape(-1) for k in sorted(w)])
    found["gradient.all"] = distance(flat(gradient), flat(own))
    exits = [k for k in range(1, 5) if f"logits.{k}" in tensors]
    learns = [k for k in sorted(w) if not k.startswith("exits.") or int(k.split(".")[1]) in exits]
    in_use = {k for k in running if not k.startswith("exits.") or int(k.split(".")[1]) in exits}
    found["running"] = max(distance(after[k], running[k]) for k in in_use)
    found["still"] = max([0.0] + [float((after[k] - before[k]).abs().max()) for k in set(before) - set(learns) - in_use])

    # The step, by the gradient of the file: where one is nearly 0, adamw turns rounding into a whole step.
    names = ("exp_avg", "exp_avg_sq") if option["optimizer"] == "adamw" else ("momentum",)
    moments = {m: below(tensors, f"before.{m}.") for m in names}
    for v in w.values():
        v.grad = None
    with torch.no_grad():
        behind = optimize(option, float(meta["lr"]), int(meta["step"]), w, gradient, moments, learns)
    found["update"] = max(moved(before[k], after[k], w[k].detach()) for k in learns)
    for m, values in behind.items():
        found["moment." + m] = max(distance(tensors[f"after.{m}.{k}"], v) for k, v in values.items())
    if float(option["ema"]) > 0:
        d = min(float(option["ema"]), 1 - 1 / int(meta["step"]))
        found["average"] = max(distance(tensors["after.average." + k], d * tensors["before.average." + k] + (1 - d) * after[k])
                               for k in learns)
    if teacher is not None:
        t, _ = read(teacher)
        with torch.no_grad():
            found["source"] = distance(tensors["source"], Network(t, t)(tensors["input"])[-1][0])
    found["targets"] = float((tensors["targets"].sum(1) - 1).abs().max())
    print(json.dumps(found))


main(*sys.argv[1:])
