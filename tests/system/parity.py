#!/usr/bin/env python3
"""The daemon answers what `autodidact eval` computes: posts every test image with each classifier, CIFAR's as PNG and a
folder's files as they are, and compares the labels with eval's predictions.

  parity.py BUILD_DIR MODEL.safetensors cifar100:DIR|folder:DIR [--count N]

Differences are allowed only where eval's two best logits differ by less than 1e-3. Exit status 0 when that holds.
"""
import argparse, csv, http.client, json, os, queue, subprocess, sys, tempfile, threading
from daemon import Daemon, cifar100

CLASSIFIERS = ["1", "2", "3", "deepest", "ensemble"]
MARGIN = 1e-3


def folder_images(top):
    """-> list of (class, bytes of the file), in the order of the tool"""
    out = []
    for label, name in enumerate(sorted(os.listdir(os.path.join(top, "train")))):
        folder = os.path.join(top, "val", name)
        for file in sorted(os.listdir(folder)):
            with open(os.path.join(folder, file), "rb") as f:
                out.append((label, f.read()))
    return out


def media_type(image):
    return "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build"), p.add_argument("model"), p.add_argument("data")
    p.add_argument("--count", type=int, default=10000)
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "predictions.csv")
        figures = json.loads(subprocess.run(
            [os.path.join(args.build, "autodidact"), "eval", args.model, "--data", args.data, "--split",
             "test", "--predictions", path, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        with open(path) as f:
            rows = list(csv.DictReader(f))
    kind, _, place = args.data.partition(":")
    images = (cifar100(place, "test") if kind == "cifar100" else folder_images(place))[:args.count]
    if [label for label, _ in images] != [int(row["label"]) for row in rows[:len(images)]]:
        sys.exit(f"{args.data}: the order of the images is not the tool's")
    print("eval:", " ".join(f"{e['name']}={e['top1']:.4f}" for e in figures["exits"]),
          f"ensemble={figures['ensemble']['top1']:.4f}")
    daemon = Daemon(os.path.join(args.build, "autodidactd"), args.model)
    work, answers, failures = queue.Queue(), {}, []
    for c in CLASSIFIERS:
        for i in range(len(images)):
            work.put((c, i))

    def post():
        connection = http.client.HTTPConnection(*daemon.address, timeout=60)
        while True:
            try:
                c, i = work.get_nowait()
            except queue.Empty:
                return
            connection.request("POST", "/v1/classify?top=1", images[i][1],
                               {"Content-Type": media_type(images[i][1]), "SLA-Classifier": c})
            r = connection.getresponse()
            body = r.read()
            if r.status == 200:
                answers[c, i] = json.loads(body)["index"]
            else:
                failures.append((c, i, r.status, body[:200]))

    threads = [threading.Thread(target=post) for _ in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    code = daemon.stop()
    bad = len(failures)
    for failure in failures[:5]:
        print("failed:", *failure)
    for c in CLASSIFIERS:
        name = str(len(figures["exits"])) if c == "deepest" else c
        same = close = different = right = 0
        for i, (label, _) in enumerate(images):
            got = answers.get((c, i))
            right += got == label
            if got == int(rows[i][name]):
                same += 1
            elif float(rows[i][name + "_margin"]) < MARGIN:
                close += 1
            else:
                different += 1
        bad += different
        print(f"classifier {c:8}: {same} the same, {close} different within the margin, {different} different; "
              f"top-1 {right / len(images):.4f}")
    print("daemon's exit status:", code)
    return 0 if bad == 0 and code == 0 else 1


sys.exit(main())
