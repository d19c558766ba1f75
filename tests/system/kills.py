#!/usr/bin/env python3
"""kills.py BUILD [--kills N] [--seed S] [OPTION]...: N SIGKILLs at random moments of one training, each followed by --resume,
end in the same file as none.

A folder of made-up images is read from the disk in every epoch (--cache-mb 0); OPTIONs (--ema .., --ps-kd .., --accumulate ..)
are added to both trainings. The moments are spread over the steps that are left. Standard library only."""
import argparse, hashlib, json, os, random, signal, struct, subprocess, sys, tempfile, time, zlib

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def png(width, height, label, r):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(min(255, r.randrange(120) + (90 if i % 3 == label else 0)) for i in range(3 * width))
                    for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def position(path):
    try:
        with open(path, "rb") as f:
            n, = struct.unpack("<Q", f.read(8))
            return int(json.loads(f.read(n))["__metadata__"]["autodidact.position"].split()[0])
    except (OSError, ValueError, struct.error):
        return 0


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    a, options = parser.parse_known_args()
    print(f"seed {a.seed}", flush=True)
    r = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as place:
        for label in range(3):
            os.makedirs(os.path.join(place, "train", str(label)))
            for i in range(80):
                with open(os.path.join(place, "train", str(label), f"{i}.png"), "wb") as f:
                    f.write(png(40, 33, label, r))
        whole, killed = (os.path.join(place, name + ".safetensors") for name in ("whole", "killed"))
        steps = 216 // 12 * 40
        words = [os.path.join(a.build, "autodidact"), "train", os.path.join(TOP, "models", "resnet18.json"), "--data",
                 "folder:" + place, "--method", "byot", "--width", "4", "--epochs", "40", "--batch", "12", "--warmup", "0", "--lr",
                 "0.01", "--augment", "resizedcrop,flip", "--threads", "2", "--cache-mb", "0", "--checkpoint-steps", "1",
                 "--progress", "none", *options]
        subprocess.run([*words, "--out", whole], check=True)
        kills = 0
        while kills < a.kills:
            at = position(killed + ".ckpt")
            target = at + r.randrange(2 * (steps - at) // (a.kills - kills + 1) + 1)
            child = subprocess.Popen([*words, "--out", killed, "--resume"])
            while position(killed + ".ckpt") < target and child.poll() is None:
                time.sleep(0.001)
            time.sleep(r.random() * 0.05)
            if child.poll() is not None:
                sys.exit(f"the training ended before kill {kills + 1}, with {child.returncode}")
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
        subprocess.run([*words, "--out", killed, "--resume"], check=True)
        same = digest(whole) == digest(killed)
        print(f"{kills} kills of {steps} steps: the files are {'the same' if same else 'different'}")
        return 0 if same else 1


sys.exit(main())
