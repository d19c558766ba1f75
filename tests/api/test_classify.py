#!/usr/bin/env python3
"""POST /v1/classify and the other public routes: what good requests get."""
import base64, glob, http.client, json, os, re, shutil, subprocess, threading, time
from daemon import Daemon, SAMPLES, SOURCE, Skip, Wire, form, make_model, once, png, problem, run, until

d = None


def check(answer, classifier="4", reason="requested"):
    assert answer.status == 200, answer
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("SLA-Classifier") == classifier and answer.header("SLA-Reason") == reason, answer
    return answer.json


def b64(data):
    return base64.b64encode(data).decode()


def raw_png():
    """a raw PNG: every member of the answer"""
    answer = d.classify()
    j = check(answer)
    assert set(j) == {"id", "model", "version", "classifier", "reason", "label", "index", "confidence", "top",
                      "timing_ms"}, sorted(j)
    assert j["id"] == answer.header("X-Request-Id") and j["model"] == "resnet18" and j["version"] == 1
    assert j["classifier"] == "4" and j["reason"] == "requested"
    assert len(j["top"]) == 5 and j["top"][0] == {"label": j["label"], "index": j["index"],
                                                  "probability": j["confidence"]}
    probabilities = [t["probability"] for t in j["top"]]
    assert probabilities == sorted(probabilities, reverse=True) and 0 <= sum(probabilities) <= 1 + 1e-6
    assert {"total", "decode", "queue", "s1", "s2", "s3", "s4", "head"} == set(j["timing_ms"])
    assert all(v >= 0 for v in j["timing_ms"].values())
    assert j["timing_ms"]["total"] >= j["timing_ms"]["decode"]


def raw_others():
    """raw JPEG, octet-stream, a type with parameters, and no type"""
    jpeg = open(sorted(glob.glob(os.path.join(SAMPLES, "*.jpg")))[0], "rb").read()
    first = check(d.classify(jpeg, type="image/jpeg"))["index"]
    for t in ("application/octet-stream", "IMAGE/JPEG; q=1", "image/png"):
        assert check(d.classify(jpeg, type=t))["index"] == first
    assert check(once(d.address, "POST", "/v1/classify", jpeg))["index"] == first


def chunked():
    """a chunked body"""
    with Wire(d.address) as w:
        image = png()
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n")
        for at in range(0, len(image), 50):
            part = image[at:at + 50]
            w.send(b"%x\r\n%s\r\n" % (len(part), part))
        w.send("0\r\n\r\n")
        check(w.answer())


def expect_continue():
    """Expect: 100-continue is answered"""
    with Wire(d.address) as w:
        image = png()
        w.send(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: image/png\r\n"
               f"Content-Length: {len(image)}\r\n\r\n")
        w.more()
        assert w.buffer.startswith(b"HTTP/1.1 100 Continue\r\n")
        w.send(image)
        check(w.answer())


def json_image():
    """JSON with one image gives the same answer as its bytes"""
    plain = check(d.classify(png(seed=3)))
    j = check(d.classify_json({"image": b64(png(seed=3))}))
    assert (j["index"], j["confidence"]) == (plain["index"], plain["confidence"]) and "results" not in j
    broken = b64(png(seed=3))
    assert check(d.classify_json({"image": broken[:40] + "\n " + broken[40:]}))["index"] == plain["index"]


def json_images():
    """JSON with several images: results in their order, each as if alone"""
    images = [png(seed=i) for i in range(17)]
    alone = [check(d.classify(i, query="?top=10")) for i in images]
    j = check(d.classify_json({"images": [b64(i) for i in images]}, query="?top=10"))
    assert set(j) == {"id", "model", "version", "results", "timing_ms"}, sorted(j)
    assert len(j["results"]) == 17
    for one, r in zip(alone, j["results"]):
        assert set(r) == {"classifier", "reason", "label", "index", "confidence", "top"}
        assert r["index"] == one["index"] and abs(r["confidence"] - one["confidence"]) < 1e-5
    assert len(check(d.classify_json({"images": [b64(png())]}))["results"]) == 1


def json_large():
    """a JSON body beyond what is parsed on the loop"""
    images = [b64(png(120, 120, seed=i)) + " " * 3000 for i in range(40)]
    body = {"images": images, "sla": {"classifier": 2}}
    assert len(json.dumps(body)) > 100000
    assert len(check(d.classify_json(body), "2")["results"]) == 40


def json_sla():
    """the sla member: names and values of every kind, and what agrees with headers"""
    for sla, classifier in (({"classifier": "1"}, "1"), ({"classifier": 3}, "3"), ({"classifier": "ensemble"}, "ensemble"),
                            ({"deadline_ms": 60000, "classifier": "2", "priority": 1, "on_miss": "fail"}, "2"),
                            ({"min_accuracy": 0.5}, "2"), ({"min_confidence": 1e-5}, "1"), ({}, "4")):
        answer = d.classify_json({"image": b64(png()), "sla": sla})
        assert answer.status == 200 and answer.json["classifier"] == classifier, (sla, answer)
    check(d.classify_json({"image": b64(png()), "sla": {"classifier": 2}}, [("SLA-Classifier", "2")]), "2")


def top():
    """?top= from 1 to more than there are classes"""
    for n, expected in ((1, 1), (3, 3), (10, 10), (1000, 10)):
        assert len(check(d.classify(query=f"?top={n}"))["top"]) == expected
    indices = [t["index"] for t in check(d.classify(query="?top=10"))["top"]]
    assert sorted(indices) == list(range(10))


def explain():
    """?explain=1: every exit that ran, with probabilities that sum to 1"""
    for classifier, names in (("1", ["1"]), ("4", ["4"]), ("ensemble", ["1", "2", "3", "4"])):
        j = check(d.classify(query="?explain=1", headers=[("SLA-Classifier", classifier)]), classifier)
        assert [e["classifier"] for e in j["exits"]] == names
        for e in j["exits"]:
            assert set(e) == {"classifier", "label", "index", "confidence", "probabilities"}
            assert len(e["probabilities"]) == 10 and abs(sum(e["probabilities"]) - 1) < 1e-5
            assert e["confidence"] == max(e["probabilities"]) == e["probabilities"][e["index"]]
        if classifier != "ensemble":
            assert j["exits"][-1]["confidence"] == j["confidence"]
    assert "exits" not in check(d.classify(query="?explain=0"))


def model_name():
    """?model= with the name that is there"""
    check(d.classify(query="?model=resnet18"))


def labels():
    """labels are JSON strings whatever they hold"""
    j = check(d.classify(query="?top=10"))
    assert {t["index"]: t["label"] for t in j["top"]}[3] == 'label 3 "3" \u00e9'


def ids():
    """X-Request-Id: a good one comes back, else a new one is made; traceparent is passed on"""
    assert d.classify(headers=[("X-Request-Id", "abc-1.2_3:/+=@")]).header("X-Request-Id") == "abc-1.2_3:/+=@"
    seen = {d.classify().header("X-Request-Id") for _ in range(5)}
    assert len(seen) == 5
    for bad in ("a b", "<x>", "a" * 129, 'quote"', ""):
        got = d.classify(headers=[("X-Request-Id", bad)]).header("X-Request-Id")
        assert got != bad and re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", got), got
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert d.classify(headers=[("traceparent", good)]).header("traceparent") == good
    for bad in (good.upper(), good[:-1], good + "0", "00-" + "0" * 32 + good[35:], good.replace("-", "_"), "x"):
        assert d.classify(headers=[("traceparent", bad)]).header("traceparent") is None, bad


def server_timing():
    """Server-Timing names queue, decode, the sections that ran and the head"""
    value = d.classify(headers=[("SLA-Classifier", "2")]).header("Server-Timing")
    assert re.fullmatch(r"queue;dur=[\d.]+, decode;dur=[\d.]+, s1;dur=[\d.]+, s2;dur=[\d.]+, head;dur=[\d.]+", value), value


def deadline_members():
    """a deadline comes back with whether it was met"""
    answer = d.classify(headers=[("SLA-Deadline-Ms", "20000.5"), ("SLA-Classifier", "3")])
    assert check(answer, "3")["deadline"] == {"ms": 20000.5, "met": True}
    assert answer.header("SLA-Deadline") == "met"


FORM = "multipart/form-data; boundary=x"


def form_image():
    """multipart/form-data with one part named image answers as the raw image does"""
    expected = check(d.classify(png(seed=3)))
    for headers in ("", "\r\nContent-Type: image/png", '; filename="a;b\\"c.png"\r\nContent-Type: application/octet-stream'):
        j = check(d.classify(form(("image", png(seed=3), headers)), type=FORM))
        assert (j["index"], j["confidence"]) == (expected["index"], expected["confidence"]) and "results" not in j, j
    boundary = "-" * 70
    assert check(d.classify(form(("image", png()), boundary=boundary), type=f'Multipart/Form-Data; BOUNDARY="{boundary}"'))


def form_images():
    """several parts named image are several images, in their order"""
    images = [png(seed=s) for s in range(3)] + [png(200, 200, seed=5)] * 2  # more than what is read on the loop
    alone = [check(d.classify(i)) for i in images]
    j = check(d.classify(form(*[("image", i) for i in images]), type=FORM))
    assert len(j["results"]) == len(images), j
    for one, r in zip(alone, j["results"]):  # in a batch sums may be in another order
        assert r["index"] == one["index"] and abs(r["confidence"] - one["confidence"]) < 1e-4, (one, r)


def form_sla():
    """a part named sla is what sla is in JSON"""
    sla = ("sla", json.dumps({"classifier": 2}), "\r\nContent-Type: application/json")
    for parts in ((sla, ("image", png())), (("image", png()), sla)):
        check(d.classify(form(*parts), type=FORM), "2")
        problem(d.classify(form(*parts), [("SLA-Classifier", "1")], type=FORM), 400, "classifier")


def form_curl():
    """what curl -F sends, chunked and with 100-continue too"""
    if not shutil.which("curl"): raise Skip("there is no curl")
    expected = {}
    for path in sorted(glob.glob(os.path.join(SAMPLES, "*.jpg")))[:2]:
        with open(path, "rb") as f:
            expected[path] = check(d.classify(f.read(), type="image/jpeg"))["top"]
        for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            done = subprocess.run(["curl", "-sS", "--noproxy", "*", *more, "-F", f"image=@{path}", f"http://{d.address}/v1/classify"],
                                  capture_output=True, check=True)
            assert json.loads(done.stdout)["top"] == expected[path], done.stdout


def absolute_form():
    """a request target with scheme and host (RFC 9112, 3.2.2) is its path and query, whatever Host says"""
    with Wire(d.address) as w:
        for scheme in ("http", "HTTP", "https"):
            for host in ("a", "example.com:8080", "127.0.0.1", "[::1]:80"):
                answer = w.ask("POST", f"{scheme}://{host}/v1/classify?top=3", png())
                assert answer.status == 200 and len(answer.json["top"]) == 3, answer
        problem(w.ask("GET", "http://a/v1/clasify"), 404, "nothing at /v1/clasify")
        problem(w.ask("GET", "http://a"), 404, "nothing at /")
        problem(w.ask("GET", "http://a?top=1"), 404, "nothing at /")
        problem(w.ask("GET", "ftp://a/v1/models"), 404, "ftp://a/v1/models")
        problem(w.ask("GET", "/http://a/v1/models"), 404, "/http://a/v1/models")
        assert w.ask("GET", "http://b/v1/models").status == 200
    for target in ("http:///v1/models", "http://user@a/v1/models", "http://a%2Fb/v1/models", "http://?x", "http://"):
        problem(once(d.address, "GET", target), 400, "target")


def keep_alive():
    """one connection carries many requests, refused ones among them"""
    with Wire(d.address) as w:
        for i in range(100):
            answer = w.ask("POST", "/v1/classify", png(seed=i % 3), [("Content-Type", "image/png")])
            assert answer.status == 200 and answer.header("Connection") != "close"
            for path, body, headers, status in (("/v1/classify", b"x", [("Content-Type", "text/plain")], 415),
                                                ("/v1/classify", b"junk", [("Content-Type", "image/png")], 415),
                                                ("/nowhere", b"x" * 1000, [], 404), ("/v1/models", b"x", [], 405),
                                                ("/v1/classify?top=0", png(), [("Content-Type", "image/png")], 400)):
                if i % 10 == 0:
                    answer = w.ask("POST", path, body, headers)
                    assert answer.status == status and answer.header("Connection") != "close", (path, answer)


def pipelined():
    """pipelined requests are answered in their order"""
    with Wire(d.address) as w:
        image = png()
        w.send(b"".join(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nX-Request-Id: r{i}\r\nContent-Type: image/png\r\n"
                        f"Content-Length: {len(image)}\r\n\r\n".encode() + image for i in range(20)))
        assert [w.answer().header("X-Request-Id") for i in range(20)] == [f"r{i}" for i in range(20)]


def many_clients():
    """32 clients at a time: every answer is that of its own image"""
    expected = [check(d.classify(png(seed=i)))["top"] for i in range(8)]
    wrong = []

    def client(i):
        with Wire(d.address) as w:
            for k in range(25):
                answer = w.ask("POST", "/v1/classify", png(seed=(i + k) % 8), [("Content-Type", "image/png")])
                got = answer.json["top"] if answer.status == 200 else answer
                same = answer.status == 200 and all(
                    a["index"] == b["index"] and abs(a["probability"] - b["probability"]) < 1e-5
                    for a, b in zip(got[:1], expected[(i + k) % 8][:1]))
                if not same:
                    wrong.append(got)
    threads = [threading.Thread(target=client, args=(i,)) for i in range(32)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong, wrong[:3]


def models():
    """GET /v1/models: exits with accuracy and cost that rise"""
    m, = once(d.address, "GET", "/v1/models").json["models"]
    assert m["name"] == "resnet18" and m["version"] == 1 and m["default"] is True and len(m["sha256"]) == 64
    assert m["classes"] == 10 and len(m["labels"]) == 10 and m["input"] == [3, 32, 32]
    assert [e["name"] for e in m["exits"]] == ["1", "2", "3", "4"] and m["ensemble"]["name"] == "ensemble"
    assert [round(e["accuracy"], 6) for e in m["exits"]] == [0.4, 0.5, 0.6, 0.7] and m["ensemble"]["accuracy"] == 0.75
    for key in ("macs", "cost_ms"):
        values = [e[key] for e in m["exits"]] + [m["ensemble"][key]]
        assert values == sorted(values) and values[0] > 0, (key, values)
    costs = m["costs"]
    assert m["share"] == 1 and costs["batches"] == [1, 2, 4, 8, 16, 32]
    assert 0.5 <= costs["slow_down"] <= 20 and 0 < costs["helped"] <= 1
    for key in ("sections_ms", "heads_ms"):
        assert len(costs[key]) == 4 and all(len(times) == 6 and min(times) > 0 for times in costs[key]), costs
    parts = json.load(open(os.path.join(SOURCE, "models/resnet18.json")))
    assert m["architecture"] == parts["name"] and m["running"] == []
    # What has not learned has every member, too; what takes no part in an ensemble costs nothing.
    with Daemon(["engine.workers=1"], make_model(kind="partly")) as partly:
        n, = once(partly.address, "GET", "/v1/models").json["models"]
    assert [e["learned"] for e in n["exits"]] == [False, True, True, True]
    first, third, running = n["exits"][0], n["exits"][2], n["running"][0]
    assert first["accuracy"] is None and first["cost_ms"] is None and first["macs"] == m["exits"][0]["macs"]
    assert running["name"] == "ensemble:4" and running["weights"] == [0, 0.25, 0.75, 0]
    assert third["macs"] < running["macs"] < n["exits"][3]["macs"] and running["cost_ms"] > third["cost_ms"]


def health():
    """live and ready, GET and HEAD, with and without a final slash"""
    for path, member in (("/v2/health/live", "live"), ("/v2/health/ready", "ready"), ("/v2/health/ready/", "ready")):
        assert once(d.address, "GET", path).json == {member: True}
        head = once(d.address, "HEAD", path)
        assert head.status == 200 and head.body == b"" and int(head.header("Content-Length")) > 0


def standard_client():
    """Python's http.client is content"""
    host, port = d.address.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    for _ in range(3):
        c.request("POST", "/v1/classify", png(), {"Content-Type": "image/png"})
        r = c.getresponse()
        assert r.status == 200 and json.loads(r.read())["classifier"] == "4"
    c.close()


def client_gone():
    """a client that hangs up leaves nothing behind"""
    for k in range(30):
        w = Wire(d.address)
        image = png(400, 400, seed=k)
        w.send(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n")
        w.send(image if k % 3 else image[:100])
        time.sleep(0.003 * (k % 4))
        w.reset() if k % 2 else w.close()
    end = time.monotonic() + 20
    while d.metrics()["autodidact_requests_in_flight"] != 0:
        assert time.monotonic() < end, "requests stay in flight"
        time.sleep(0.05)
    check(d.classify())


def cancelled():
    """what a client that hung up had asked for is not computed to its end"""
    with Daemon(["engine.workers=1", "engine.batch_max=2"], make_model(width=64)) as slow:
        body = json.dumps({"images": [b64(png(seed=i)) for i in range(64)]}).encode()
        wires = [Wire(slow.address) for _ in range(6)]
        for w in wires:
            w.send(b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                   % len(body) + body)
        until(lambda: slow.metrics()["autodidact_requests_in_flight"] == 6, "the requests are there")
        time.sleep(0.2)  # most of the bodies have been read by then
        for w in wires:
            w.reset()
        until(lambda: slow.metrics()["autodidact_requests_in_flight"] == 0, "all have ended")
        m = slow.metrics()
        cancelled = m.get('autodidact_requests_total{model="resnet18",classifier="none",reason="none",code="499"}', 0)
        images = m['autodidact_batch_size_sum{model="resnet18",section="4"}']
        assert cancelled >= 1 and images < 6 * 64 * 0.7, f"{images} of {6 * 64} images were computed to the end"
        assert slow.classify().status == 200


with Daemon() as d:
    run([raw_png, raw_others, chunked, expect_continue, json_image, json_images, json_large, json_sla, top, explain,
         model_name, labels, ids, server_timing, deadline_members, form_image, form_images, form_sla, form_curl, absolute_form, keep_alive, pipelined, many_clients, models, health,
         standard_client, client_gone, cancelled])
