#!/usr/bin/env python3
"""Clients that hang up at random moments: in the middle of a request's line, head or body, while it is decoded or computed, while
it waits behind others, with a reset or with an end, several requests in a row before. Nothing of them stays: no request that is
being worked on, no image that waits for being decoded, no descriptor, no memory; and who stays is answered. Prints TAP.

  test_hangups.py [--count N] [--seed S] [--clients C]

What each does is a function of the seed and its number. In `make check` some hundred; the long form:
  top_builddir=build tests/system/test_hangups.py --count 10000
"""
import argparse, base64, json, os, random, socket, struct, sys, threading, time
HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("top_srcdir", os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from daemon import BUILD, Daemon, form, png, run, until
from images import photograph
import processes

KEPT_KB = 16 << 10  # that a daemon's memory may move about between two looks


def bodies():
    """-> [(content type, body)]"""
    small, large = png(), photograph(BUILD, "smooth", 1500, 1000)
    many = {"images": [base64.b64encode(small).decode()] * 12, "sla": {"deadline_ms": 400}}
    return [("image/png", small)] * 6 + [
        ("image/jpeg", large), ("application/json", json.dumps(many).encode()),
        ("multipart/form-data; boundary=x", form(*[("image", small)] * 3))]


def request(rnd, kinds):
    kind, body = rnd.choice(kinds)
    lines = ["POST /v1/classify HTTP/1.1", "Host: a", "Content-Type: " + kind]
    lines += rnd.choice(([], ["SLA-Classifier: ensemble"], ["SLA-Deadline-Ms: %d" % rnd.choice((1, 20, 500))],
                         ["Expect: 100-continue"], ["Priority: u=7"]))
    if rnd.random() < 0.2:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:700], body[700:]) if part) + b"0\r\n\r\n"
    else:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def hang_up(rnd, address, kinds):
    """One client: sends some requests, the last of them maybe in part, waits for a moment, and goes."""
    client = socket.create_connection(address, timeout=20)
    try:
        data = b"".join(request(rnd, kinds) for _ in range(rnd.choice((1, 1, 1, 2, 5))))
        if rnd.random() < 0.5:
            data = data[:rnd.randrange(1, len(data) + 1)]
        client.sendall(data)
        if rnd.random() < 0.2:
            client.shutdown(socket.SHUT_WR)
        time.sleep(rnd.choice((0, 0, 0.0005, 0.002, 0.005, 0.02)) * rnd.random())
        if rnd.random() < 0.3:
            client.setblocking(False)
            try:
                client.recv(rnd.choice((1, 100, 65536)))
            except BlockingIOError:
                pass
        if rnd.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
    except ConnectionError:
        pass  # the daemon has refused what was sent
    client.close()


def hang_ups(args, daemon, kinds, numbers):
    """So many clients at a time."""
    errors, lock = [], threading.Lock()
    host, port = daemon.address.rsplit(":", 1)

    def client():
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                hang_up(random.Random(f"{args.seed} {number}"), (host, int(port)), kinds)
        except OSError as e:
            errors.append(e)

    threads = [threading.Thread(target=client) for _ in range(args.clients)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    daemon.dead()
    assert not errors, errors


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


NOTHING = ["autodidact_requests_in_flight"] + [
    f'autodidact_decode_{what}{{seat="{seat}"}}' for what in ("waiting", "in_progress", "memory_bytes")
    for seat in ("foreground", "background")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=600), p.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    p.add_argument("--clients", type=int, default=16)
    args = p.parse_args()
    print(f"# seed {args.seed}", flush=True)
    daemon, kinds, numbers = Daemon(), bodies(), iter(range(args.count))
    assert daemon.classify().status == 200
    before, kept = descriptors(daemon), []

    def nothing_left():
        found = daemon.metrics()
        return all(found[name] == 0 for name in NOTHING) and descriptors(daemon) <= before

    def half():
        hang_ups(args, daemon, kinds, iter([n for n, _ in zip(numbers, range(args.count // 2))]))
        until(nothing_left, "nothing is left of those that hung up", 60)
        kept.append(processes.proportional_kb(daemon.process.pid))
        print(f"# {descriptors(daemon)} descriptors, {before} before; {kept[-1]} kB", flush=True)

    def requests():
        """no request, image or descriptor is left of clients that hung up, and the next one is answered"""
        half()
        assert daemon.classify().status == 200

    def memory():
        """as many again, and no memory is left of them either"""
        half()
        assert kept[1] - kept[0] < KEPT_KB, kept
        assert daemon.classify().status == 200

    def end():
        """the daemon stops as always, and no sanitizer complained"""
        code, text = daemon.stop(), daemon.text()
        assert code == 0 and "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    run([requests, memory, end])


main()
