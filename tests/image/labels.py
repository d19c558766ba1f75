"""What decoding JPEGs at 1/2, 1/4 or 1/8 changes in a model's answers (run by hand; doc/data.md has the result):

    tests/image/labels.py BUILD MODEL.safetensors FOLDER-OF-JPEGS|CIFAR-100-TEST.BIN [N]

Photographs are the source's images, enlarged to 0.3 to 12 megapixels with noise of single pixels, and saved as JPEG; a
folder's also as they are. Each goes to the model's input on two ways: by decode_file, which does
what serving, evaluation and training do, and by Pillow, which decodes all of it and resizes by the same filter. Prints how
many labels of each classifier agree, how far the two best logits were apart where one does not, and the largest difference
of a logit."""
import glob, io, json, os, random, struct, subprocess, sys, tempfile
import numpy as np
from PIL import Image

BUILD, MODEL = sys.argv[1:3]
DECODE, LOGITS = (os.path.join(BUILD, "tests", *name) for name in (("image", "decode_file"), ("onnx", "own_logits")))
SIZES = ((640, 480), (1000, 800), (1600, 1200), (2592, 1944), (4000, 3000))
rng = np.random.default_rng(0)


def metadata(name):
    with open(MODEL, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return json.loads(header["__metadata__"]["autodidact." + name])


def originals(n):
    """Files of JPEGs, or images."""
    if os.path.isdir(sys.argv[3]):
        paths = sorted(glob.glob(os.path.join(sys.argv[3], "**", "*.[jJ][pP]*[gG]"), recursive=True))
        random.Random(0).shuffle(paths)
        return [open(p, "rb").read() for p in paths[:n]]
    records = np.fromfile(sys.argv[3], np.uint8, 3074 * n).reshape(n, 3074)[:, 2:]
    return [Image.fromarray(np.ascontiguousarray(r.reshape(3, 32, 32).transpose(1, 2, 0))) for r in records]


def jpeg(image, quality=90):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def photograph(image, size):
    image = image if isinstance(image, Image.Image) else Image.open(io.BytesIO(image)).convert("RGB")
    image = np.asarray(image.resize(size, Image.BICUBIC), dtype=np.int16)
    noise = rng.integers(-12, 13, image.shape, dtype=np.int16)
    return jpeg(Image.fromarray((image + noise).clip(0, 255).astype(np.uint8)))


def logits(pixels, p, folder):
    """[classifier][image][class]"""
    x = (np.stack(pixels).astype(np.float32) / 255 - np.float32(p["mean"])) / np.float32(p["std"])
    np.ascontiguousarray(x.transpose(0, 3, 1, 2)).astype("<f4").tofile(os.path.join(folder, "in"))
    subprocess.run([LOGITS, "run", MODEL, os.path.join(folder, "in"), os.path.join(folder, "out")], check=True)
    return np.fromfile(os.path.join(folder, "out"), "<f4").reshape(-1, len(pixels), len(metadata("labels")))


def main():
    p = metadata("preprocess")
    side = p["width"], p["height"]
    n = int(sys.argv[4]) if len(sys.argv) > 4 else 100
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "photograph.jpg")
        for size in ((None,) if os.path.isdir(sys.argv[3]) else ()) + SIZES:
            ours, theirs = [], []
            for data in originals(n):
                data = data if size is None else photograph(data, size)
                with open(path, "wb") as f:
                    f.write(data)
                out = subprocess.run([DECODE, path, *map(str, side)], check=True, capture_output=True).stdout
                ours.append(np.frombuffer(out.split(b"\n", 1)[1], np.uint8).reshape(side[1], side[0], 3))
                full = Image.open(io.BytesIO(data)).convert("RGB").resize(side, Image.BILINEAR)
                theirs.append(np.asarray(full))
            a, b = (logits(x, p, folder) for x in (ours, theirs))
            same = a.argmax(2) == b.argmax(2)
            best = np.sort(b, 2)
            ties = (best[..., -1] - best[..., -2])[~same]
            apart = np.abs(np.stack(ours).astype(int) - np.stack(theirs))
            print(f"{'as it is' if size is None else '%dx%d' % size}: labels equal "
                  f"{' '.join(map(str, same.sum(1)))} of {len(ours)}, the others' two best logits are at most "
                  f"{max(ties, default=0):.3f} apart; logits differ by {np.abs(a - b).max():.3f} at most, {np.abs(a - b).mean():.4f} in the mean (their "
                  f"deviation is {b.std():.2f}); pixels by {apart.max()} at most, {apart.mean():.3f} in the mean", flush=True)


main()
