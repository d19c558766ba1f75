#!/usr/bin/env python3
"""What bad input gets: a precise 4xx problem document, and the daemon goes on."""
import base64, json, os, zlib
from daemon import Closed, Daemon, Wire, form, make_model, once, png, problem, run, until

LIMITS = ["http.body_max_bytes=1M", "image.bytes_max=512K", "image.pixels_max=2000000", "image.side_max=4096",
          "http.images_max=4"]
IMAGE = ("Content-Type", "image/png")
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "multipart/form-data; boundary=x")
d = None


def b64(data):
    return base64.b64encode(data).decode()


def check(status, words, body=None, headers=(IMAGE,), path="/v1/classify", method="POST"):
    answer = once(d.address, method, path, body, headers)
    problem(answer, status, *words)
    return answer


def case(name, *args, **named):
    def test():
        check(*args, **named)
        assert d.classify().status == 200
    test.__doc__ = name
    return test


def truncated():
    """an image cut short anywhere is 4xx, never 5xx"""
    image = png(20, 20)
    for size in list(range(1, 60)) + list(range(60, len(image) - 1, 37)):
        answer = d.classify(image[:size])
        assert answer.status == (415 if size < 4 else 422), (size, answer)


def flipped():
    """an image with any byte changed is 200 or 4xx, never 5xx"""
    image = bytearray(png(12, 12, seed=2))
    for at in range(0, len(image), 3):
        image[at] ^= 0x55
        answer = d.classify(bytes(image))
        image[at] ^= 0x55
        assert answer.status in (200, 413, 415, 422), (at, answer)


def late_too_large():
    """a chunked body over the limit is 413 and ends the connection"""
    with Wire(d.address) as w:
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n")
        try:
            for _ in range(40):
                w.send(b"10000\r\n" + b"z" * 65536 + b"\r\n")
            w.send("0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = w.answer()
        problem(answer, 413, "1048576")
        assert answer.header("Connection") == "close"


def announced_too_large():
    """a body that is announced too large is refused before it is sent"""
    with Wire(d.address) as w:
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1048577\r\n\r\n")
        answer = w.answer()
        problem(answer, 413, "1048577", "1048576")
        assert answer.header("Connection") == "close" and w.closed()
    with Wire(d.address) as w:  # and without 100 Continue
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
               "Content-Length: 1048577\r\n\r\n")
        w.more()
        assert w.buffer.startswith(b"HTTP/1.1 413"), w.buffer


def no_length():
    """a body without its length is 411"""
    with Wire(d.address) as w:
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n\r\n")
        problem(w.answer(), 411, "Content-Length")


def bad_chunks():
    """broken chunks end the connection"""
    for chunks in ("zz\r\n", "-1\r\nab\r\n", "5\r\nabcdefgh\r\n0\r\n\r\n", "ffffffffffffffffff\r\n"):
        with Wire(d.address) as w:
            w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            try:
                answer = w.answer()
                assert 400 <= answer.status < 500, answer
            except Closed:
                pass
    assert d.classify().status == 200


def garbage():
    """bytes that are no HTTP are 400 or a closed connection"""
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\r\n\r\n\r\n\r\nGET\r\n\r\n", b"GET\r\n\r\n", b"\0" * 100 + b"\r\n\r\n",
                 b"GET\r\nHost: a\r\n\r\n", b"GET \r\nHost: a\r\n\r\n", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nnocolon\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with Wire(d.address) as w:
            w.send(junk)
            w.socket.shutdown(1)
            try:
                answer = w.answer()
                assert 400 <= answer.status <= 505, (junk, answer)
            except Closed:
                pass
    assert d.classify().status == 200


def method_not_allowed():
    """a wrong method is 405 and says which are right"""
    for method, path, allow in (("GET", "/v1/classify", "POST, PUT"), ("DELETE", "/v1/classify", "POST, PUT"),
                                ("PUT", "/v1/models", "GET, HEAD"), ("POST", "/metrics", "GET, HEAD"),
                                ("OPTIONS", "/v2/health/ready", "GET, HEAD")):
        assert check(405, [method], None, (), path, method).header("Allow") == allow


def huge_png():
    """a PNG that claims 200 megapixels is refused without being decoded"""
    bomb = png(claim=(14000, 14000), data=zlib.compress(b"\0" * 100000))
    problem(d.classify(bomb), 413, "14000")
    problem(d.classify(png(claim=(1, 5000), data=zlib.compress(b"\0"))), 413, "5000")
    problem(d.classify(png(claim=(2000, 2000), data=zlib.compress(b"\0"))), 413, "2000")
    before = d.metrics()["process_resident_memory_bytes"]
    for _ in range(5):
        d.classify(bomb)
    assert d.metrics()["process_resident_memory_bytes"] - before < 20 << 20


def images_named():
    """what is no text among several is named, whatever it is"""
    good = b64(png())
    for bad in (7, None, [good], {}):
        problem(d.classify_json({"images": [good, good, bad]}), 400, "images[2]")
        problem(d.classify_json({"image": bad}), 400, "image")


def alone():
    """a bad image among several fails alone; a request without a good one is refused and names the first"""
    good, junk, cut = png(), b"junk", png()[:40]
    for answer in (d.classify_json({"images": [b64(good), b64(junk), b64(good), b64(cut)]}),
                   once(d.address, "POST", "/v1/classify", form(*[("image", i) for i in (good, junk, good, cut)]), (FORM,))):
        results = answer.json["results"]
        assert answer.status == 200 and len(results) == 4, answer
        assert results[0]["label"] == results[2]["label"] and "status" not in results[0]
        assert [r["status"] for r in results[1::2]] == [415, 422] and "neither a JPEG nor a PNG" in results[1]["error"], results
        assert "label" not in results[1]
    problem(d.classify_json({"images": [b64(junk), b64(cut)]}), 415, "images[0]: the content is neither")
    problem(d.classify_json({"images": [b64(cut)]}), 422)


def deep_json():
    """JSON that is nested deeply is refused without recursion"""
    for text in ("[" * 200000, '{"image":' * 100000, '{"image":' + "[" * 17 + "]" * 17 + "}", '{"sla":' + '{"a":' * 20 + "1" + "}" * 21):
        problem(d.classify(text.encode(), type="application/json"), 400, "deeper")


def conflict():
    """header and body that disagree are 400 and both named"""
    problem(d.classify_json({"image": b64(png()), "sla": {"classifier": 2}}, [("SLA-Classifier", "1")]), 400,
            "classifier", "SLA-Classifier")
    image = b64(png(200, 200)) + " " * 80000  # the same from a body that is read off the loop
    problem(d.classify_json({"image": image, "sla": {"classifier": 2}}, [("SLA-Classifier", "1")]), 400, "disagree")


def broken_json_cases():
    good = b64(png())
    for name, text, words in (
            ("empty object", "{}", ["image or images"]),
            ("both image and images", json.dumps({"image": good, "images": [good]}), ["exclude"]),
            ("an unknown member", json.dumps({"image": good, "slo": {}}), ["slo"]),
            ("a duplicate name", '{"image":"%s","image":"%s"}' % (good, good), ["line 1"]),
            ("text behind", json.dumps({"image": good}) + "x", ["line 1"]),
            ("cut short", json.dumps({"image": good})[:-1], ["line 1"]),
            ("a list", "[]", ["object"]),
            ("a number", "17", ["JSON"]),
            ("nothing but blanks", "   ", ["JSON"]),
            ("invalid UTF-8", b'{"image":"\xff\xfe"}', ["JSON"]),
            ("a NUL", '{"image":"\\u0000"}', ["JSON"]),
            ("a hundred thousand values", '{"images":[' + "{}," * 99999 + "{}]}", ["values"]),
            ("images that is no list", '{"images":{}}', ["images", "list"]),
            ("images that is empty", '{"images":[]}', ["images", "empty"]),
            ("sla that is no object", json.dumps({"image": good, "sla": 5}), ["sla"]),
            ("an unknown name in sla", json.dumps({"image": good, "sla": {"speed": 5}}), ["speed"]),
            ("a wrong type in sla", json.dumps({"image": good, "sla": {"deadline_ms": True}}), ["deadline_ms"]),
            ("a list in sla", json.dumps({"image": good, "sla": {"classifier": [1]}}), ["classifier"]),
            ("a negative deadline", json.dumps({"image": good, "sla": {"deadline_ms": -5}}), ["deadline_ms"]),
            ("a confidence over 1", json.dumps({"image": good, "sla": {"min_confidence": 1.5}}), ["min_confidence"]),
            ("a classifier that is not there", json.dumps({"image": good, "sla": {"classifier": 9}}), ["9"])):
        yield case(f"JSON: {name}: 400", 400, words, text if isinstance(text, bytes) else text.encode(), (JSON,))


def form_cases():
    good = ("image", png())
    whole = form(good)
    for name, status, words, body in (
            ("no boundary in it", 400, ["no line", "boundary"], png()),
            ("cut short within the boundary", 400, ["no line"], b"--"),
            ("cut short within the headers", 400, ["part 1", "headers"], whole[:30]),
            ("cut short within the image", 400, ["part 1", "cut short"], whole[:200]),
            ("without its last boundary", 400, ["part 1", "cut short"], whole[:-9]),
            ("no part", 400, ["no part"], b"--x--"),
            ("lines that end in LF alone", 400, ["boundary"], whole.replace(b"\r\n", b"\n")),
            ("a part without a name", 400, ["name="], whole.replace(b'name="image"', b"a=b")),
            ("another name", 400, ["picture", "image", "sla"], form(("picture", png()))),
            ("no image", 400, ["image", "missing"], form(("sla", "{}"))),
            ("an empty image", 400, ["image", "empty"], form(("image", b""))),
            ("a type that is no image", 415, ["text/html", "image/png"], form(("image", png(), "\r\nContent-Type: text/html"))),
            ("base64", 415, ["Content-Transfer-Encoding"], form(("image", b64(png()), "\r\nContent-Transfer-Encoding: base64"))),
            ("an empty sla", 400, ["sla", "the part is empty"], form(("sla", ""), good)),
            ("sla that is no JSON", 400, ["sla", "line 1"], form(("sla", "{"), good)),
            ("sla that is no object", 400, ["sla", "object"], form(("sla", "[]"), good)),
            ("duplicate sla", 400, ["sla", "duplicate"], form(("sla", "{}"), ("sla", "{}"), good)),
            ("an unknown name in sla", 400, ["speed"], form(("sla", '{"speed": 5}'), good)),
            ("only bad images", 415, ["images[0]"], form(("image", b"junk"), ("image", b"junk"))),
            ("too many images", 413, ["4"], form(*[good] * 5)),
            ("headers without end", 400, ["too long"], form(("image", png(), "\r\nX: " + "y" * 9000)))):
        yield case(f"form: {name}: {status}", status, words, body, (FORM,))
    for type in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 71,
                 "multipart/form-data; boundary=x; boundary=x", 'multipart/form-data; boundary="x', "multipart/form-data; boundary=\xe4"):
        yield case(f"form: {type[:50]}: 400", 400, ["boundary="], form(good), (("Content-Type", type),))


def form_too_large():
    """a form over the limit is 413, announced or not; a part over image.bytes_max is 413"""
    headers = "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with Wire(d.address) as w:
        w.send(headers + "Content-Length: 1048577\r\n\r\n")
        problem(w.answer(), 413, "1048577", "1048576")
    with Wire(d.address) as w:
        body = form(("image", b"z" * (1 << 20)))
        try:
            w.send(headers.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        problem(w.answer(), 413, "1048576")
    problem(d.classify(form(("image", png()[:-12] + b"\0" * 600000)), type="multipart/form-data; boundary=x"), 413, "524288")
    body = form(*[("image", b"")] * 9000)
    problem(d.classify(body, type="multipart/form-data; boundary=x"), 413, "http.images_max")


UPLOAD = ["http.body_max_bytes=1M", "image.bytes_max=512K", "http.upload_max_bytes=2200K"]
HEAD = "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
K = 1 << 10


def begun(server, size, sent):
    """A connection that has sent so much of a body."""
    w = Wire(server.address)
    w.send(HEAD + f"Content-Length: {size}\r\n\r\n")
    w.send(b"z" * sent)
    return w


def uploads_bounded():
    """bodies of all connections together are bounded: 503 with Retry-After, and place again when they are gone"""
    with Daemon(UPLOAD) as server:
        def refused():
            return server.metrics().get('autodidact_refused_total{reason="memory"}', 0)
        for leave in (Wire.close, Wire.reset, lambda w: (w.send(b"z" * 100 * K), w.answer(), w.close())):
            before = refused()
            held = [begun(server, 1000 * K, 900 * K) for _ in range(2)]
            until(lambda: server.metrics()["autodidact_upload_bytes"] >= 1800 * K, "two bodies fill the room")
            answer = server.classify(b"z" * 500 * K)
            problem(answer, 503, "memory")
            assert int(answer.header("Retry-After")) >= 1, answer
            with Wire(server.address) as w:  # before the body is sent
                w.send(HEAD + f"Content-Length: {500 * K}\r\n\r\n")
                problem(w.answer(), 503, "memory")
            with Wire(server.address) as w:  # nobody knows how long it will be
                try:
                    w.send(HEAD + "Transfer-Encoding: chunked\r\n\r\n")
                    for _ in range(5):
                        w.send(b"%x\r\n" % (100 * K) + b"z" * 100 * K + b"\r\n")
                    w.send("0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass
                problem(w.answer(), 503, "memory")
            assert refused() == before + 3, (refused(), before)
            assert server.metrics()["autodidact_upload_bytes"] <= 2200 * K
            [leave(w) for w in held]
            until(lambda: server.metrics()["autodidact_upload_bytes"] == 0, "there is room again")
        image = png()
        idle = [Wire(server.address) for _ in range(30)]  # what they keep for their next request makes way
        for w in idle:
            assert w.ask("POST", "/v1/classify", b"z" * 400 * K, (IMAGE,)).status == 415
        assert server.classify(b"z" * 512 * K).status == 415
        for w in idle:
            assert w.ask("POST", "/v1/classify", image, (IMAGE,)).status == 200
            w.close()


def uploads_announced():
    """what is only announced takes no room"""
    with Daemon(UPLOAD) as server:
        held = [begun(server, 1000 * K, 10) for _ in range(20)]
        for _ in range(3):
            assert server.classify(b"z" * 500 * K).status == 415
        [w.close() for w in held]


def vector(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "image", "vectors", name), "rb") as f:
        return f.read()


def truncated_accepted():
    """image.truncated = accept: the same JPEG is answered; one with odd parts is without it, too"""
    with Daemon(["image.truncated=accept"]) as server:
        assert server.classify(vector("cut.jpg")).status == 200
    with Daemon() as server:
        assert server.classify(vector("odd_parts.jpg")).status == 200
        assert server.classify(vector("restart_at_end.jpg")).status == 200


CASES = [
    case("an empty body: 400", 400, ["empty"], b""),
    case("not an image: 415", 415, ["JPEG", "PNG"], b"hello, world" * 10),
    case("a GIF: 415", 415, ["GIF image (image/gif)", "JPEG and PNG"], b"GIF89a" + b"\0" * 50),
    case("a JPEG cut in its scan, an end marker behind: 422", 422, ["cut short"], vector("cut.jpg")),
    case("an image over image.bytes_max: 413", 413, ["524288"], png()[:-12] + b"\0" * 600000),
    case("text/plain: 415 with what is taken", 415, ["text/plain", "image/jpeg", "application/json"], b"x", [("Content-Type", "text/plain")]),
    case("multipart/mixed: 415", 415, ["multipart/mixed", "multipart/form-data"], b"x", [("Content-Type", "multipart/mixed; boundary=x")]),
    case("?top=0: 400", 400, ["top", "1000"], png(), path="/v1/classify?top=0"),
    case("?top=x: 400", 400, ["top"], png(), path="/v1/classify?top=x"),
    case("?top= : 400", 400, ["top"], png(), path="/v1/classify?top="),
    case("?top=-1: 400", 400, ["top"], png(), path="/v1/classify?top=-1"),
    case("?top=1001: 400", 400, ["top"], png(), path="/v1/classify?top=1001"),
    case("duplicate ?top: 400", 400, ["top", "duplicate"], png(), path="/v1/classify?top=1&top=2"),
    case("?explain=yes: 400", 400, ["explain"], png(), path="/v1/classify?explain=yes"),
    case("an unknown argument: 400", 400, ["tpo"], png(), path="/v1/classify?tpo=1"),
    case("?model= that is not there: 404", 404, ["other"], png(), path="/v1/classify?model=other"),
    case("?model= that is no name: 400", 400, ["model"], png(), path="/v1/classify?model=../../etc"),
    case("a path that is not there: 404", 404, ["/v1/clasify"], png(), path="/v1/clasify"),
    case("a path with blanks and quotes: 404", 404, ['"'], png(), path="/%22%20%0a"),
    case("a path with a NUL: 404", 404, ["%00"], None, (), "/v1/models%00x", "GET"),
    case("?model= with a NUL: 400", 400, ["model"], png(), path="/v1/classify?model=resnet18%00x"),
    case("a GET with a body: 400", 400, ["no body"], b"x", path="/v1/models", method="GET"),
    case("too many images: 413", 413, ["5", "at most 4"], json.dumps({"images": [b64(png())] * 5}).encode(), (JSON,)),
]

with Daemon(LIMITS) as d:
    run(CASES + list(broken_json_cases()) + list(form_cases()) + [form_too_large, uploads_bounded, uploads_announced, truncated, flipped, late_too_large, announced_too_large, no_length, bad_chunks,
                                             garbage, method_not_allowed, huge_png, images_named, alone, deep_json, conflict,
                                             truncated_accepted])
