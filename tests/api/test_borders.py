#!/usr/bin/env python3
"""The borders that all routes share: clients that close their half, probes beside a crowd, a stop after odd requests."""
import base64, gzip, json, os, socket, tempfile, threading, time
from daemon import Daemon, Wire, form, once, png, problem, run, until

TOKEN = [("Authorization", "Bearer secret")]


def request(method, path, body=b"", headers=(), type="application/json"):
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *(f"{n}: {v}" for n, v in headers)]
    if method != "GET":
        lines += [f"Content-Type: {type}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def classifications():
    """Every way in which a request to classify is suspended: decoded, parsed and unpacked on other threads, computed."""
    image = base64.b64encode(png()).decode()
    yield request("POST", "/v1/classify", png(), type="image/png")
    yield request("POST", "/v1/classify", json.dumps({"image": image}).encode())
    yield request("POST", "/v1/classify", json.dumps({"images": [image] * 40}).encode())  # off the loop
    yield request("POST", "/v1/classify", form(("image", png())), type="multipart/form-data; boundary=x")
    yield request("POST", "/v1/classify", gzip.compress(json.dumps({"images": [image] * 60}).encode()), [("Content-Encoding", "gzip")])
    yield request("POST", "/v1/classify", png(), [("SLA-Classifier", "ensemble")], "image/png")


def half_closed(address, texts, statuses):
    for text in texts:
        for at_once in (True, False):
            with Wire(address) as w:
                w.send(text)
                if not at_once:
                    time.sleep(0.005)
                w.socket.shutdown(socket.SHUT_WR)
                answer = w.answer()
                assert answer.status in statuses, (text[:100], answer)
                assert w.closed(), text[:100]
    with Wire(address) as w:  # one after the other, all there before the first is answered
        w.send(b"".join(texts))
        w.socket.shutdown(socket.SHUT_WR)
        for text in texts:
            assert w.answer().status in statuses, text[:100]
        assert w.closed()


def half_closed_public():
    """who closes its half after a request gets its answer: classify in all its ways, models, health, metrics"""
    with Daemon() as d:
        before = d.metrics()["autodidact_requests_in_flight"]
        half_closed(d.address, list(classifications()), [200])
        half_closed(d.address, [request("GET", p) for p in ("/v1/models", "/v2/health/live", "/v2/health/ready", "/metrics")], [200])
        until(lambda: d.metrics()["autodidact_requests_in_flight"] == before, "none is left")
        assert not any('code="499"' in name and value for name, value in d.metrics().items())


def half_closed_admin():
    """the same on the admin listener, which waits for the store: jobs, models; a job that is created is told"""
    with tempfile.TemporaryDirectory() as data, Daemon([f"train.data_root={data}", "train.program=/bin/false"]) as d:
        os.mkdir(os.path.join(data, "tiny"))
        job = json.dumps({"kind": "train", "data": "cifar100:tiny", "spec": "resnet18"}).encode()
        half_closed(d.admin, [request("POST", "/admin/v1/jobs", job)], [202])
        numbers = [j["id"] for j in once(d.admin, "GET", "/admin/v1/jobs").json["jobs"]]
        assert len(numbers) == 3, numbers
        half_closed(d.admin, [request("GET", "/admin/v1/jobs"), request("GET", f"/admin/v1/jobs/{numbers[0]}"),
                              request("GET", "/admin/v1/models"), request("GET", "/admin/v1/models/resnet18"),
                              request("POST", "/admin/v1/models/resnet18/activate", b'{"version":1}')], [200])
        with Wire(d.admin) as w:
            w.send(request("GET", f"/admin/v1/jobs/{numbers[0]}/events"))
            w.socket.shutdown(socket.SHUT_WR)
            until(lambda: b"event: job" in w.buffer or w.more(), "the job is told")


def probes():
    """health is open on an admin listener that asks for a token, metrics are not, and neither needs a place on the public one"""
    with tempfile.NamedTemporaryFile("w") as token:
        token.write("secret")
        token.flush()
        with Daemon(["admin.listen=127.0.0.1:0", f"admin.token_file={token.name}", "http.connection_limit=3"]) as d:
            body = json.dumps({"images": [base64.b64encode(png()).decode()] * 40}).encode()
            crowd = [Wire(d.address) for _ in range(3)]
            for w in crowd:  # they hold all places: nothing ends without its last byte
                w.send(request("POST", "/v1/classify", body)[:-1])
            with Wire(d.address) as outside:
                outside.send(request("GET", "/v2/health/live"))
                assert outside.quiet(0.3)
                for path in ("/v2/health/live", "/v2/health/ready"):
                    assert once(d.admin, "GET", path).status == 200
                problem(once(d.admin, "GET", "/metrics"), 401)
                assert b"autodidact_requests_in_flight 3" in once(d.admin, "GET", "/metrics", headers=TOKEN).body
                problem(once(d.admin, "GET", "/v2/health"), 401)  # what there is not is no stranger's business
                for w in crowd:
                    w.send(body[-1:])
                    assert w.answer().status == 200
                    w.close()
                assert outside.answer().status == 200


def scrapes():
    """a crowd of scrapers: each gets the whole text, with what had been counted before it asked"""
    with Daemon() as d:
        failed = []

        def scrape():
            with Wire(d.address) as w:
                for _ in range(10):
                    if not w.ask("GET", "/metrics").body.endswith(b"\n"):
                        failed.append(1)
        threads = [threading.Thread(target=scrape) for _ in range(60)]
        [t.start() for t in threads]
        name = 'autodidact_requests_total{model="resnet18",classifier="4",reason="requested",code="200"}'
        for n in range(1, 21):
            assert d.classify().status == 200
            assert d.metrics()[name] == n
        [t.join() for t in threads]
        assert not failed


def stop_after_odd_requests():
    """a thousand arguments and an end before the headers' leave nothing that a stop would wait for"""
    d = Daemon(["http.header_timeout_ms=600000", "drain.timeout_ms=20000"])
    for end in (lambda w: w.socket.shutdown(socket.SHUT_WR), Wire.close, Wire.reset):
        for text in (b"GET /v2/health/live?" + b"a=1&" * 1000 + b" HTTP/1.1\r\nHost: a\r\n", b"GET /v2/health/live?" + b"a=1&" * 1000,
                     request("POST", "/v1/classify", png(), type="image/png")[:-5]):
            w = Wire(d.address)
            w.send(text)
            time.sleep(0.01)
            end(w)
    begin = time.monotonic()
    assert d.stop() == 0 and time.monotonic() - begin < 15, d.text()


run([half_closed_public, half_closed_admin, probes, scrapes, stop_after_odd_requests])
