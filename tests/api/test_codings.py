#!/usr/bin/env python3
"""Content codings: bodies in gzip and deflate at every route that takes one, and answers in gzip."""
import base64, gzip, http.client, json, os, subprocess, threading, zlib
from daemon import BUILD, Daemon, Wire, form, once, png, problem, run, until

LIMITS = ["http.body_max_bytes=1M", "image.bytes_max=1M", "http.upload_max_bytes=8M"]
IMAGE = png(seed=3)
VERSION = subprocess.run([os.path.join(BUILD, "autodidactd"), "--version"], stdout=subprocess.PIPE, text=True).stdout
d = None


def raw(data):
    o = zlib.compressobj(9, zlib.DEFLATED, -15)
    return o.compress(data) + o.flush()


PACKERS = (("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw),
           ("identity", bytes), ("identity, gzip,", gzip.compress), ("gzip", lambda b: gzip.compress(b[:20]) + gzip.compress(b[20:])))


def post(body, coding, type="image/png", headers=(), path="/v1/classify", address=None, method="POST"):
    more = [("Content-Encoding", coding)] if isinstance(coding, str) else [("Content-Encoding", c) for c in coding]
    return once(address or d.address, method, path, body, [("Content-Type", type), *more, *headers])


def taken():
    """images, JSON and forms, small and large, packed in each way"""
    images = [IMAGE, png(150, 150, seed=4)]
    for image in images:
        expected = d.classify(image).json["index"]
        document = json.dumps({"image": base64.b64encode(image).decode() + " " * 200000}).encode()
        for coding, pack in PACKERS:
            for body, type in ((image, "image/png"), (image, "application/octet-stream"), (document, "application/json"),
                               (form(("image", image)), "multipart/form-data; boundary=x")):
                answer = post(pack(body), coding, type)
                assert answer.status == 200 and answer.json["index"] == expected, (coding, type, answer)
    assert post(gzip.compress(IMAGE), "gzip", method="PUT").status == 200
    assert post(IMAGE, "").status == 200 and post(gzip.compress(IMAGE), ("identity", "gzip")).status == 200


def chunked():
    """a packed body in chunks, and many on one connection"""
    body = gzip.compress(IMAGE)
    with Wire(d.address) as w:
        for _ in range(3):
            w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n")
            for at in range(0, len(body), 7):
                w.send(b"%x\r\n%s\r\n" % (len(body[at:at + 7]), body[at:at + 7]))
            w.send("0\r\n\r\n")
            assert w.answer().status == 200
            large = gzip.compress(IMAGE + bytes(900000))  # unpacked elsewhere
            assert w.ask("POST", "/v1/classify", large, [("Content-Encoding", "gzip")]).status == 200


def refused():
    """other codings, and several: 415 with Accept-Encoding; a part of a body: 400"""
    for coding in ("br", "zstd", "compress", "gzip, br", "gzip, gzip", "aws-chunked", "gzip;q=1", ("gzip", "gzip")):
        answer = post(gzip.compress(IMAGE), coding)
        problem(answer, 415, "Content-Encoding")
        assert answer.header("Accept-Encoding") == "gzip, deflate" and answer.header("Accept") is None
    problem(once(d.address, "PUT", "/v1/classify", IMAGE, [("Content-Range", "bytes 0-9/100")]), 400, "Content-Range")
    assert once(d.address, "GET", "/v1/models", None, [("Content-Encoding", "br")]).status == 200  # there is no body


def broken():
    """what is cut short, damaged or followed by something: 400"""
    body, large = gzip.compress(IMAGE), gzip.compress(bytes(900000))
    for bad, words in ((body[:-1], "cut short"), (body[:12], "cut short"), (body + b"x", "behind the end"), (body + body[:15], "cut short"),
                       (IMAGE, "not gzip"), (body[:-5] + b"\0" + body[-4:], "not gzip"), (large[:-1], "cut short"), (large + b"x", "behind")):
        problem(post(bad, "gzip"), 400, words)
    for bad, words in ((zlib.compress(IMAGE)[:-2], "cut short"), (raw(IMAGE)[:-2], "cut short"), (body, "not deflate"),
                       (zlib.compress(IMAGE) + b"xy", "behind the end")):
        problem(post(bad, "deflate"), 400, words)
    problem(post(b"", "gzip"), 400, "empty")
    problem(post(gzip.compress(b""), "gzip"), 400, "empty")


def bombs():
    """what unfolds past http.body_max_bytes: 413, in bounded memory, while others are served"""
    bomb = gzip.compress(bytes(64 << 20), 9)
    many = gzip.compress(bytes(1 << 20)) * 10
    assert len(bomb) < 100000
    before = d.metrics()["process_resident_memory_bytes"]
    over, seen = threading.Event(), []

    def attack(body, coding):
        while not over.is_set():
            seen.append(post(body, coding))
    threads = [threading.Thread(target=attack, args=a) for a in ((bomb, "gzip"), (many, "gzip"), (zlib.compress(bytes(64 << 20)), "deflate"),
                                                                 (bomb, "gzip"), (bomb, "gzip"), (bomb, "gzip"))]
    [t.start() for t in threads]
    answers = [d.classify() for _ in range(10)]
    over.set()
    [t.join() for t in threads]
    assert [a.status for a in answers] == [200] * 10 and len(seen) >= len(threads)
    [problem(a, 413, "1048576") for a in seen]
    problem(post(gzip.compress(bytes((1 << 20) + 1)), "gzip"), 413, "1048576")
    problem(post(gzip.compress(bytes(1 << 20)), "gzip"), 415)
    more = d.metrics()["process_resident_memory_bytes"] - before
    assert more < 40 << 20 or "sanitizer no" not in VERSION, more  # those keep what was freed
    until(lambda: d.metrics()["autodidact_upload_bytes"] == 0, "bodies are given back")
    assert d.metrics()["autodidact_requests_in_flight"] == 0


def gone():
    """a client that hangs up while its body is unpacked"""
    body = gzip.compress(bytes((1 << 20) - 1))
    for _ in range(20):
        w = Wire(d.address)
        w.send(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        w.reset()
    until(lambda: d.metrics()["autodidact_requests_in_flight"] == 0, "all of them have ended")
    until(lambda: d.metrics()["autodidact_upload_bytes"] == 0, "bodies are given back")
    assert d.classify().status == 200


def room():
    """what is unpacked counts as received: 503 when there is no room for it"""
    with Daemon(["http.body_max_bytes=1M", "image.bytes_max=1M", "http.upload_max_bytes=1500K"]) as server:
        held = Wire(server.address)
        held.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1000000\r\n\r\n")
        held.send(b"z" * 900000)
        until(lambda: server.metrics()["autodidact_upload_bytes"] >= 900000, "a body fills the room")
        answer = post(gzip.compress(bytes(1 << 20)), "gzip", address=server.address)
        problem(answer, 503, "memory")
        assert answer.header("Retry-After")
        held.close()
        until(lambda: server.metrics()["autodidact_upload_bytes"] == 0, "there is room again")
        problem(post(gzip.compress(bytes(1 << 20)), "gzip", address=server.address), 415)


def admin():
    """routes of the admin listener take them, too"""
    job = json.dumps({"kind": "train", "spec": "resnet18", "data": "cifar100:x", "method": "bytes"}).encode()
    plain = once(d.admin, "POST", "/admin/v1/jobs", job, [("Content-Type", "application/json")])
    for coding, pack in PACKERS[:5]:
        answer = post(pack(job), coding, "application/json", path="/admin/v1/jobs", address=d.admin)
        assert (answer.status, answer.json["detail"]) == (plain.status, plain.json["detail"]), answer
    problem(post(gzip.compress(b"{}" + b" " * 70000), "gzip", "application/json", path="/admin/v1/jobs", address=d.admin), 413, "65536")
    problem(post(gzip.compress(b"{"), "gzip", "application/json", path="/admin/v1/models/resnet18/activate", address=d.admin), 400, "line 1")
    problem(post(b"{}", "br", "application/json", path="/admin/v1/models/resnet18/activate", address=d.admin), 415)


# ---- answers ----

def ask(path, accept, method="GET", body=None, version=11, type=None):
    """-> (status, {header}, body as it came)"""
    host, port = d.address.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    c._http_vsn, c._http_vsn_str = version, f"HTTP/1.{version - 10}"
    c.putrequest(method, path, skip_accept_encoding=True)
    for value in accept: c.putheader("Accept-Encoding", value)
    if type: c.putheader("Content-Type", type)
    if body is not None: c.putheader("Content-Length", str(len(body)))
    c.endheaders(body)
    answer = c.getresponse()
    result = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    c.close()
    return result


def packed_answers():
    """an answer is gzip when that is asked for and worth it; Vary says so either way"""
    for accept, packed in (([], False), (["gzip"], True), (["x-gzip"], True), (["deflate, gzip;q=0.5"], True), (["*"], True), (["gzip;q=0"], False),
                           (["gzip;q=0, *"], False), (["identity"], False), (["identity;q=1, gzip;q=0.3"], False), (["br"], False),
                           (["br", "gzip"], True), (["gzip;q=7"], False), (["*;q=0"], False)):
        status, headers, body = ask("/metrics", accept)
        assert status == 200 and (headers.get("content-encoding") == "gzip") == packed, (accept, headers)
        assert headers["vary"] == "Accept-Encoding"
        text = gzip.decompress(body) if packed else body
        assert text.startswith(b"# HELP") and text.endswith(b"\n") and (not packed or len(body) < len(text) / 4)


def large_answers():
    """an answer of several blocks, on HTTP/1.0 and to HEAD, too"""
    document = json.dumps({"images": [base64.b64encode(png(seed=i)).decode() for i in range(64)]}).encode()
    for version in (10, 11):
        status, headers, body = ask("/v1/classify?explain=1&top=10", ["gzip"], "POST", document, version, "application/json")
        assert status == 200 and headers["content-encoding"] == "gzip" and headers["content-type"] == "application/json"
        assert len(json.loads(gzip.decompress(body))["results"]) == 64 and headers["sla-classifier"] == "4"
    status, headers, body = ask("/metrics", ["gzip"], "HEAD")
    assert status == 200 and body == b"" and headers["content-encoding"] == "gzip" and headers["vary"] == "Accept-Encoding"
    assert "content-length" not in headers, headers
    status, headers, body = ask("/metrics", [], "HEAD")
    assert "content-encoding" not in headers and headers["vary"] == "Accept-Encoding"


def small_answers():
    """what is small stays as it is, unless nothing else may be sent; problems are answers, too"""
    assert "content-encoding" not in ask("/v2/health/live", ["gzip"])[1]
    status, headers, body = ask("/v2/health/live", ["gzip, identity;q=0"])
    assert json.loads(gzip.decompress(body)) == {"live": True} and headers["content-encoding"] == "gzip"
    status, headers, body = ask("/nowhere", ["gzip, *;q=0"])
    assert status == 404 and json.loads(gzip.decompress(body))["status"] == 404
    status, headers, body = ask("/v1/classify", ["gzip, *;q=0"], "POST", IMAGE)
    assert status == 200 and "label" in json.loads(gzip.decompress(body)) and headers["vary"] == "Accept-Encoding"


def kept_alive():
    """packed answers one after the other on one connection, and clients that leave in the middle"""
    host, port = d.address.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    for _ in range(20):
        c.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        assert b"autodidact_requests_total" in gzip.decompress(c.getresponse().read())
    c.close()
    for _ in range(20):
        w = Wire(d.address)
        w.send("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        w.reset()
    assert d.classify().status == 200


with Daemon(LIMITS) as d:
    run([taken, chunked, refused, broken, bombs, gone, room, admin, packed_answers, large_answers, small_answers, kept_alive])
