#!/usr/bin/env python3
"""Mutated images through a real daemon, over several connections that stay open: flipped bits, cuts, segments and chunks
that are swapped, doubled, lost or renamed, sizes that lie, very many scans and very small IDATs, files that are small and much
work. Every request is answered once, in its order, with a status that its image may have; the daemon lives, as many helpers
are started as were lost, memory stays bounded. Prints TAP.

  test_mutated_images.py [--count N] [--seed S] [--first I] [--connections C] [--memory-mib M] [--set SECTION.KEY=VALUE]

Each image is a function of the seed and its number. In `make check` a few hundred; the long form, with AddressSanitizer:
  ./check --sanitizer address --build build-asan
  top_builddir=build-asan tests/system/test_mutated_images.py --count 20000
"""
import argparse, glob, os, random, struct, sys, threading, time, zlib
HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("top_srcdir", os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from daemon import BUILD, SOURCE, Closed, Daemon, Wire, form, run
import processes
from images import black_png, chunk, huffman_of_one, photograph, png_header, progressive_bomb, segment

STATUSES = {200, 413, 415, 422}
UNLUCKY = {503, 504}  # a helper was lost, or no room
LARGEST = 8 << 20     # bytes; a body over its limit is refused before it is a request to classify
SOF, SOS = range(0xc0, 0xd0), 0xda


def jpeg_parts(data):
    """-> [bytes] of a JPEG: SOI, each segment, a scan with its data. What cannot be read is one part."""
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xff and data[at + 1] != 0xd9:
        end = at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        if data[at + 1] == SOS:
            while end + 1 < len(data) and not (data[end] == 0xff and data[end + 1] not in (0, *range(0xd0, 0xd8))):
                end += 1
        parts.append(data[at:end])
        at = end
    return parts + [data[at:]]


def png_parts(data):
    """-> [bytes] of a PNG: signature, each chunk."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at:at + 4], "big")
        parts.append(data[at:end])
        at = end
    return parts + [data[at:]]


def flip(rnd, data):
    data = bytearray(data)
    for _ in range(rnd.choice((1, 1, 2, 8, 40))):
        data[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)
    return bytes(data)


def cut(rnd, data):
    if len(data) < 2:
        return data
    return data[:rnd.randrange(1, len(data))] + rnd.choice((b"", b"\xff\xd9", chunk(b"IEND", b"")))


def blot(rnd, data):
    at, size = rnd.randrange(len(data)), rnd.choice((1, 4, 30, 300))
    return data[:at] + rnd.choice((rnd.randbytes(size), bytes(size), b"\xff" * size)) + data[at + rnd.choice((0, size)):]


def rearrange(rnd, parts):
    """Swaps, doubles, loses, repeats or shuffles parts behind the first."""
    parts = list(parts)
    a, b, kind = rnd.randrange(1, len(parts)), rnd.randrange(1, len(parts)), rnd.randrange(5)
    if kind == 0:
        parts[a], parts[b] = parts[b], parts[a]
    elif kind == 1:
        parts.insert(b, parts[a])
    elif kind == 2:
        del parts[a]
    elif kind == 3:
        parts[a:a] = [parts[a]] * max(1, min(rnd.choice((3, 50, 2000)), (1 << 20) // (1 + len(parts[a]))))
    else:
        tail = parts[1:]
        rnd.shuffle(tail)
        parts[1:] = tail
    return b"".join(parts)


def lie(rnd, size):
    """A side, by chance near what it was."""
    return rnd.choice((0, 1, 7, size ^ 1, size * 2, 4000, 8192, 16384, 16385, 65535)) & 0xffff


def change_jpeg(rnd, data):
    parts = jpeg_parts(data)
    if len(parts) < 2:  # what an earlier cut has left
        return flip(rnd, data)
    kind = rnd.randrange(6)
    if kind < 2:
        return rearrange(rnd, parts)
    at = rnd.randrange(1, len(parts))
    part = bytearray(parts[at])
    if kind == 2:  # another marker
        if len(part) > 1:
            part[1] = rnd.choice((*SOF, 0xda, 0xdb, 0xdd, 0xd8, 0xd9, 0xd0, 0xe1, 0xee, 0xfe, 0, 1, rnd.randrange(256)))
    elif kind == 3:  # another length
        if len(part) > 3:
            part[2:4] = struct.pack(">H", rnd.choice((0, 1, 2, 3, (len(part) + 1) & 0xffff, 0xffff, rnd.randrange(1 << 16))))
    elif kind == 4:  # another size, other components
        at = next((i for i, p in enumerate(parts) if len(p) > 12 and p[1] in SOF and p[1] not in (0xc4, 0xc8, 0xcc)), 0)
        part = bytearray(parts[at])
        if at:
            what = rnd.randrange(5)
            if what < 3:
                height, width = struct.unpack(">HH", part[5:9])
                part[5:9] = struct.pack(">HH", lie(rnd, height), lie(rnd, width))
            elif what == 3:
                part[9] = rnd.randrange(6)
            else:
                part[11 + 3 * rnd.randrange((len(part) - 10) // 3)] = rnd.choice((0x11, 0x22, 0x41, 0x14, 0x44, 0x13, 0, 0xff))
    else:  # other tables, or another walk over the coefficients
        if len(part) > 6:
            part[rnd.randrange(4, min(len(part), 40))] = rnd.randrange(256)
    parts[at] = bytes(part)
    return b"".join(parts)


def many_scans(rnd, data):
    return progressive_bomb(rnd.randrange(1, 3000), rnd.randrange(1, 2000), rnd.choice((2, 9, 40, 100, 300, 3000)))


def restarts(rnd, data):
    """Restart markers where the header speaks of other ones, or of none."""
    parts = jpeg_parts(data)
    parts.insert(1, segment(0xdd, struct.pack(">H", rnd.choice((0, 1, 3, 500, 65535)))))
    out = bytearray(b"".join(parts))
    for _ in range(rnd.randrange(20)):
        at = rnd.randrange(len(out) // 2, len(out))
        out[at:at] = bytes([0xff, 0xd0 + rnd.randrange(8)])
    return bytes(out)


def deep_tables(rnd, data):
    """Tables again and again, and a comment of each size."""
    parts = jpeg_parts(data)
    parts[1:1] = [rnd.choice((huffman_of_one(rnd.randrange(2), rnd.randrange(256)), segment(0xfe, bytes(rnd.randrange(65533))),
                              segment(0xe1, b"Exif\0\0" + rnd.randbytes(rnd.randrange(200))),
                              segment(0xdb, bytes([rnd.randrange(4), *[rnd.randrange(256)] * 64])))) for _ in range(rnd.randrange(1, 60))]
    return b"".join(parts)


def resealed(part):
    """A chunk with the right length and checksum."""
    return chunk(part[4:8], part[8:-4]) if len(part) >= 12 else part


def change_png(rnd, data):
    parts = png_parts(data)
    if len(parts) < 2:
        return flip(rnd, data)
    kind = rnd.randrange(7)
    if kind < 2:
        return rearrange(rnd, parts)
    at = rnd.randrange(1, max(2, len(parts) - 1))
    if kind == 2:  # flipped, and sealed again
        part = flip(rnd, parts[at]) if parts[at] else b""
        parts[at] = resealed(part[:4] + parts[at][4:8] + part[8:])
    elif kind == 3:  # another header
        header = bytearray(parts[1])
        what = rnd.randrange(3)
        if len(header) == 25 and what == 0:
            header[8:16] = struct.pack(">II", *(rnd.choice((0, 1, 9, 5000, 16384, 65535, 1 << 20, 1 << 31)) for _ in range(2)))
        elif len(header) == 25 and what == 1:
            header[16:18] = bytes((rnd.choice((1, 2, 4, 8, 16, 3)), rnd.choice((0, 2, 3, 4, 6, 1))))
        elif len(header) == 25:
            header[20] ^= 1
        parts[1] = resealed(bytes(header))
    elif kind == 4:  # its pixels in other pieces
        pixels = b"".join(p[8:-4] for p in parts if p[4:8] == b"IDAT")
        size = rnd.choice((1, 1, 2, 7, 100))
        pieces = [chunk(b"IDAT", pixels[i:i + size]) for i in range(0, len(pixels), size)]
        pieces += [chunk(b"IDAT", b"")] * rnd.choice((0, 1, 5000))
        parts = [p for p in parts if p[4:8] != b"IDAT"]
        parts[-2:-2] = pieces
    elif kind == 5:  # other pixels: too few, too many, other filters, nothing of a stream
        pixels = rnd.choice((b"", bytes(10), bytes(rnd.randrange(5000)), bytes(4 << 20), rnd.randbytes(3000)))
        stream = zlib.compress(pixels, rnd.randrange(10))
        parts = [p for p in parts if p[4:8] != b"IDAT"]
        parts[-2:-2] = [chunk(b"IDAT", rnd.choice((stream, stream[:-4], stream + bytes(50), pixels)))]
    else:  # odd chunks
        names = (b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"IDAT", b"IHDR", b"IEND", b"acTL", b"zzzz", b"ZZZZ", b"CgBI", b"\0\1\2\3")
        odd = [chunk(rnd.choice(names), rnd.randbytes(rnd.choice((0, 1, 3, 12, 768, 769, 70000)))) for _ in range(rnd.randrange(1, 9))]
        if rnd.randrange(3) == 0:
            odd.append(struct.pack(">I", rnd.choice((1 << 31, (1 << 32) - 1, 1 << 24))) + rnd.choice(names))
        parts[at:at] = odd * rnd.choice((1, 1, 300))
    return b"".join(parts)


def bomb(rnd):
    """Small and much work, or much memory, or said to be."""
    kind = rnd.randrange(5)
    if kind == 0:
        return progressive_bomb(rnd.randrange(3000, 9000), rnd.randrange(1000, 3000), rnd.choice((3, 12, 40, 100)))
    if kind == 1:
        return black_png(rnd.randrange(500, 3000), rnd.randrange(500, 2000), rnd.choice((8, 16)), rnd.choice((0, 2, 4, 6)),
                         rnd.random() < 0.5)
    if kind == 2:
        return progressive_bomb(rnd.choice((16384, 16385, 65500)), rnd.choice((1, 8, 16384)), 1)
    if kind == 3:
        return png_header(rnd.choice((16384, 1 << 31, 1)), rnd.choice((16384, 3000, 65535))) + chunk(
            b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    return black_png(rnd.choice((1, 16384)), rnd.choice((1, 3000)), 1, 0, rnd.random() < 0.5)


def seeds():
    """Images that are good, and some that are odd."""
    found = [open(p, "rb").read() for p in sorted(glob.glob(os.path.join(SOURCE, "tests", "image", "vectors", "*.[jp][pn]g")))]
    for i, words in enumerate(((), ("grey",), ("cmyk",), ("444",), ("422", "restart"), ("progressive",), ("arithmetic",),
                               ("progressive", "arithmetic"), ("progressive", "restart"))):
        found.append(photograph(BUILD, ("noise", "smooth")[i % 2], 40 + 61 * i, 350 - 31 * i, 60 + 4 * i, i, *words))
    return found


def mutant(seeds, seed, number):
    rnd = random.Random(f"{seed} {number}")
    if rnd.random() < 0.02:
        return bomb(rnd)
    data = rnd.choice(seeds)
    ways = (flip, cut, blot) + ((change_jpeg, change_jpeg, many_scans, restarts, deep_tables) if data[:2] == b"\xff\xd8"
                                else (change_png, change_png, change_png))
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        data = rnd.choice(ways)(rnd, data) or b"\xff"
    if rnd.random() < 0.02:
        data += rnd.choice((data, rnd.choice(seeds)))
    return data[:LARGEST]


class Client(threading.Thread):
    """Takes one number after the other, posts its image, reads the answer. Connections are kept as long as the daemon does;
    sometimes several requests are under way in one."""

    def __init__(self, daemon, numbers, make):
        super().__init__(daemon=True)
        self.daemon_, self.numbers, self.make = daemon, numbers, make
        self.statuses, self.problems, self.wire, self.connections = {}, [], None, 0

    def run(self):
        try:
            while batch := self.numbers.take():
                self.post(batch)
            if self.wire and not self.wire.quiet(0.3):
                self.problems.append(f"after the last answer came {self.wire.buffer[:100]!r}, or an end")
        except Exception as e:
            self.problems.append(f"{batch}: {type(e).__name__}: {e}")

    def post(self, batch):
        if self.wire is None:
            self.wire, self.connections = Wire(self.daemon_.address, timeout=120), self.connections + 1
        for i, number in enumerate(batch):
            body, kind = self.make(number)
            head = f"POST /v1/classify?top=1 HTTP/1.1\r\nHost: test\r\nX-Request-Id: {number}\r\nContent-Length: {len(body)}\r\n"
            try:
                self.wire.send((head + (f"Content-Type: {kind}\r\n" if kind else "") + "\r\n").encode() + body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before its end, or one before it was the last: the answer is there
        for i, number in enumerate(batch):
            try:
                answer = self.wire.answer()
            except Closed:
                self.wire.close()
                self.wire = None
                if i == 0:
                    raise
                return self.post(batch[i:])  # what was pipelined behind the last answer of a connection
            if answer.header("X-Request-Id") != str(number):
                self.problems.append(f"image {number} got the answer of {answer.header('X-Request-Id')}: {answer}")
            if answer.status not in STATUSES | UNLUCKY:
                self.problems.append(f"image {number}: {answer}")
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            if answer.header("Connection") == "close":
                self.wire.close()
                self.wire = None
                return self.post(batch[i + 1:]) if batch[i + 1:] else None


class Numbers:
    """What is to be posted next: one, or a few at a time."""

    def __init__(self, first, count, seed):
        self.next, self.end, self.rnd, self.lock = first, first + count, random.Random(seed), threading.Lock()

    def take(self):
        with self.lock:
            n = min(self.end - self.next, self.rnd.choice((1, 1, 1, 2, 5)))
            self.next += n
            return list(range(self.next - n, self.next))


def counted(daemon):
    """-> (requests, helpers started, helpers lost) by the daemon's count"""
    m = daemon.metrics()
    return tuple(int(sum(v for k, v in m.items() if k.split("{")[0] == name)) for name in (
        "autodidact_requests_total", "autodidact_decode_helpers_started_total", "autodidact_decode_helpers_lost_total"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=400), p.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    p.add_argument("--first", type=int, default=0), p.add_argument("--connections", type=int, default=6)
    p.add_argument("--memory-mib", type=int, default=1024), p.add_argument("--set", action="append", default=[])
    args = p.parse_args()
    print(f"# seed {args.seed}", flush=True)
    good = seeds()

    def make(number):
        rnd, data = random.Random(f"{args.seed} {number} way"), mutant(good, args.seed, number)
        if rnd.random() < 0.03:
            return form(("image", data), ("image", rnd.choice(good))), "multipart/form-data; boundary=x"
        right = "image/jpeg" if data[:2] == b"\xff\xd8" else "image/png"
        return data, right if rnd.random() < 0.8 else rnd.choice(("application/octet-stream", "image/jpeg", "image/png"))

    daemon, most_kb, found = Daemon(args.set), 0, {}

    def answers():
        """every request is answered once, in its order, with a status that it may have"""
        nonlocal most_kb
        clients = [Client(daemon, numbers, make) for _ in range(args.connections)]
        start, said = time.monotonic(), time.monotonic()
        for c in clients:
            c.start()
        while any(c.is_alive() for c in clients):
            time.sleep(0.2)
            daemon.dead()
            most_kb = max(most_kb, processes.proportional_kb(daemon.process.pid))
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"# {numbers.next} images, {most_kb / 1024:.0f} MiB at most", flush=True)
        for c in clients:
            for status, n in c.statuses.items():
                found[status] = found.get(status, 0) + n
        print(f"# {sum(found.values())} answers in {time.monotonic() - start:.0f} s over {sum(c.connections for c in clients)} "
              f"connections: " + ", ".join(f"{n} times {s}" for s, n in sorted(found.items())), flush=True)
        problems = [p for c in clients for p in c.problems]
        assert not problems, "\n".join(problems[:20])
        assert sum(found.values()) == args.count, found
        assert found.get(200, 0) > 0 and found.get(422, 0) > 0, found

    def counts():
        """the daemon counted as many, and lives; helpers that were lost were replaced"""
        requests, started, lost = counted(daemon)
        print(f"# helpers: {started} started, {lost} lost", flush=True)
        assert requests - before[0] == args.count, (requests, before)
        assert started - before[1] == lost - before[2], (started, lost, before)
        assert lost - before[2] >= found.get(503, 0), "503 without a helper that was lost"
        assert daemon.classify().status == 200

    def memory():
        """memory stays bounded"""
        print(f"# {most_kb / 1024:.0f} MiB at most, of daemon and helpers", flush=True)
        assert most_kb < args.memory_mib * 1024, most_kb

    def end():
        """the daemon stops as always, and no sanitizer complained"""
        code, text = daemon.stop(), daemon.text()
        assert code == 0 and "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    numbers, before = Numbers(args.first, args.count, args.seed), counted(daemon)
    run([answers, counts, memory, end])


main()
