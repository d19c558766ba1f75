#!/usr/bin/python3
"""Trains each of the networks in models/ at a quarter of its width by every method for some steps, on images made here.

    tests/system/every_network.py BUILD [--steps 50] [--batch 4] [--network NAME]... [--method NAME]...

BUILD is a build directory, best one with --sanitizer address,undefined: what a sanitizer says ends a training with an
error, which is counted here. The optimizer, the schedule and what goes with the method change from one training to the
next, so that all of them meet all networks. Takes minutes without sanitizers and hours with them; not in `make check`.
"""
import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METHODS = ["baseline", "dsn", "byot", "kd", "fitnet", "at", "dml"]
CLASSES, SIDE = 10, 32
RECIPES = [
    [],
    ["--optimizer", "adamw", "--lr", "0.001", "--schedule", "one-cycle", "--clip", "1"],
    ["--nesterov", "on", "--decay-on", "weights", "--schedule", "rex", "--ema", "0.9", "--ema-images", "16"],
    ["--schedule", "restarts:1,2", "--warmup", "0", "--label-smoothing", "0.1", "--class-weights", "inverse", "--accumulate", "2"],
]
OF_METHOD = {
    "baseline": ["--ps-kd", "0.8"],
    "dsn": ["--exit-rescale", "on"],
    "byot": ["--distill-from", "ensemble", "--ps-kd", "0.8", "--exit-rescale", "on"],
}


def make_images(directory, count):
    """A file in CIFAR-10's layout: label, then planes."""
    rng = random.Random(1)
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        with open(os.path.join(directory, name), "wb") as f:
            for i in range(count):
                f.write(bytes([i % CLASSES]) + rng.randbytes(3 * SIDE * SIDE))
    with open(os.path.join(directory, "batches.meta.txt"), "w", encoding="ascii") as f:
        f.writelines(f"class_{k}\n" for k in range(CLASSES))


def train(tool, spec, method, data, out, width, options):
    command = [tool, "train", spec, "--data", f"cifar10:{data}", "--method", method, "--width", str(width), "--out", out,
               "--epochs", "1", "--progress", "none", "--threads", "2"] + options
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0 and "runtime error" not in done.stdout and "Sanitizer" not in done.stdout:
        return True
    print("# " + " ".join(command))
    print("# " + done.stdout[-3000:].replace("\n", "\n# "))
    return False


def own_width(spec):
    with open(spec, encoding="utf-8") as f:
        return json.load(f)["stages"][0]["channels"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--network", action="append")
    parser.add_argument("--method", action="append", choices=METHODS)
    args = parser.parse_args()
    tool = os.path.join(args.build, "autodidact")
    specs = [s for s in sorted(glob.glob(os.path.join(TOP, "models", "*.json")))
             if args.network is None or os.path.splitext(os.path.basename(s))[0] in args.network]
    number, good = 0, True
    with tempfile.TemporaryDirectory() as directory:
        make_images(directory, (args.steps * args.batch + 10 + 4) // 5)
        for spec in specs:
            network, width = os.path.splitext(os.path.basename(spec))[0], max(1, own_width(spec) // 4)
            teacher = None
            for i, method in enumerate(args.method or METHODS):
                options = ["--batch", str(args.batch), "--holdout", "10"] + RECIPES[(number + i) % len(RECIPES)]
                options += OF_METHOD.get(method, [])
                if "--lr" not in options:
                    options += ["--lr", "0.001"]  # by batches of four some diverge at the default, and nothing is published
                out = os.path.join(directory, f"{network}-{method}.safetensors")
                if method in ("kd", "fitnet", "at"):
                    if teacher is None:
                        teacher = os.path.join(directory, f"{network}-teacher.safetensors")
                        plain = ["--batch", str(args.batch), "--holdout", "10", "--lr", "0.001"]
                        good = train(tool, spec, "baseline", directory, teacher, width, plain) and good
                    options += ["--teacher", teacher]
                number += 1
                ok = train(tool, spec, method, directory, out, width, options)
                good = good and ok
                print(f"{'ok' if ok else 'not ok'} {number} - {network} {method}", flush=True)
    print(f"1..{number}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
