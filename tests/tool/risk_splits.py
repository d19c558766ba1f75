#!/usr/bin/env python3
"""risk_splits.py PROGRAM MODEL DATA [SPLITS]: whether the promises of `autodidact tune` hold for a model's own logits.

A second writing of include/train/risk.h in NumPy, by hand (python3-numpy). Levels of all held-out images must be those of the
program. Then held-out and test images together are split at random SPLITS (1000) times: one part chooses the confidence,
with temperatures and the best classifier as the model has them, the other one says what was lost. Of exits without running
ensembles at their borders."""
import json, struct, subprocess, sys, tempfile

import numpy as np

NEVER, SURE, LOSSES = 2.0, 0.95, (0.005, 0.01, 0.02, 0.05)
CONFIDENCES = np.array([NEVER] + [1 - i * 1e-4 for i in range(1, 11)] + [i / 1000 for i in range(998, -1, -1)])


def p_values(n, lost, won, x, spend):
    """risk_p() of arrays."""
    d, m = (lost - won) / n, (lost + won) / n
    low, high = m.copy(), np.ones_like(m)
    def kl(a, b):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(a > 0, a * np.log(a / b), 0) + np.where(a < 1, (1 - a) * np.log((1 - a) / (1 - b)), 0)
    for _ in range(60):
        middle = (low + high) / 2
        below = n * kl(m, middle) < -np.log(spend)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    q = np.maximum(high, x)
    a, b, c = 1 - q, (q + x) / 2, (q - x) / 2
    w = np.maximum((d * a + np.sqrt((d * a) ** 2 + 4 * b * c * (1 - d * d))) / (2 * b * (1 - d)), 1e-300)
    p = np.minimum(1, spend + np.exp(n * (-np.log(w) * d + np.log(a + b * w + c / w))))
    return np.where(d >= x, 1.0, np.where(high < x, spend, p))


class Images:
    """Of each image and each first exit: right or wrong minus the best one's, at every confidence, as changes."""

    def __init__(self, logits, labels, temperatures, best):
        exits = len(temperatures)
        right = logits.argmax(2) == labels[:, None]
        z = logits[:, :exits].astype(np.float64) / np.array(temperatures)[None, :, None]
        e = np.exp(z - z.max(2, keepdims=True))
        confidence = 1 / e.sum(2)
        before = best if best < exits else exits
        self.loss = []  # [first][confidence] -> int8 [image]
        for first in range(before):
            table = np.zeros((len(CONFIDENCES), len(labels)), np.int8)
            for at, c in enumerate(CONFIDENCES):
                answer = right[:, best].copy()
                for k in range(before - 1, first - 1, -1):
                    answer = np.where(confidence[:, k] >= c, right[:, k], answer)
                table[at] = right[:, best].astype(np.int8) - answer
            self.loss.append(table)

    def choose(self, images, x):
        """-> the index of the confidence that these images prove."""
        chosen, n = len(CONFIDENCES), len(images)
        for table in self.loss:
            own = table[:, images]
            p = p_values(n, (own > 0).sum(1).astype(float), (own < 0).sum(1).astype(float), x, 0.1 * (1 - SURE))
            failed = np.nonzero(p[1:] > 1 - SURE)[0]
            chosen = min(chosen, failed[0] if len(failed) else len(CONFIDENCES) - 1)
        return chosen


def main(program, model, data, splits=1000):
    with open(model, "rb") as f:
        meta = json.loads(f.read(*struct.unpack("<Q", f.read(8))))["__metadata__"]
    calibration = json.loads(meta["autodidact.calibration"])
    parts = {}
    with tempfile.TemporaryDirectory() as folder:
        for split in ("holdout", "test"):
            path = f"{folder}/{split}.npy"
            subprocess.run([program, "eval", model, "--data", data, "--split", split, "--logits", path], check=True, stdout=subprocess.DEVNULL)
            parts[split] = np.load(path), np.load(path.replace(".npy", ".labels.npy"))
        said = json.loads(subprocess.run([program, "tune", model, "--data", data, "--max-loss", ",".join(map(str, LOSSES)), "--json", "--out",
                                          f"{folder}/tuned"], check=True, stdout=subprocess.PIPE).stdout)
    names = [str(i + 1) for i in range(len(calibration["exits"]))] + ["ensemble"]
    best, temperatures = names.index(said["best"]), [x["temperature"] for x in calibration["exits"]]
    held_out = Images(*parts["holdout"], temperatures, best)
    for level in said["levels"]:
        own = CONFIDENCES[held_out.choose(np.arange(len(parts["holdout"][1])), level["max_loss"])]
        assert abs(own - level["confidence"]) < 1e-6, (level, own)
    print("the program's levels are those of this script")
    images = Images(np.concatenate([parts["holdout"][0], parts["test"][0]]), np.concatenate([parts["holdout"][1], parts["test"][1]]),
                    temperatures, best)
    r, n = np.random.default_rng(16), len(parts["holdout"][1]) + len(parts["test"][1])
    for size in (5000, n // 2, 1000):
        for x in LOSSES:
            late = chosen = lost = 0
            for _ in range(splits):
                order = r.permutation(n)
                at = images.choose(order[:size], x)
                loss = max(table[at, order[size:]].mean() for table in images.loss)
                late += loss > x
                lost += images.loss[0][at, order[size:]].mean()
                chosen += min(1, CONFIDENCES[at])
            print(f"{size} images choose, {n - size} judge, max-loss {x}: over it in {late} of {splits} splits; "
                  f"mean loss {lost / splits:.4f}, mean confidence {chosen / splits:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
