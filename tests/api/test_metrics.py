#!/usr/bin/env python3
"""GET /metrics: the text format 0.0.4, parsed strictly, and that the numbers follow what happens."""
import base64, re, zlib
from daemon import Daemon, Wire, make_model, once, png, problem, run, until

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
d = None


def parse(text):
    """-> {family: (type, {(name, labels): value})}; raises on whatever the format does not allow."""
    families, current, seen = {}, None, set()
    assert text.endswith("\n") and "\r" not in text
    for line in text[:-1].split("\n"):
        assert line == line.strip() and line, repr(line)
        if line.startswith("# HELP "):
            name, _ = line[7:].split(" ", 1)
            assert NAME.fullmatch(name) and name not in families, line
            families[name], current = (None, {}), name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current and kind in ("counter", "gauge", "histogram"), line
            assert families[name] == (None, {}), line
            families[name] = (kind, {})
        else:
            assert line[0] != "#", line
            name = NAME.match(line).group()
            rest, labels = line[len(name):], []
            if rest[0] == "{":
                at = 1
                while rest[at] != "}":
                    m = LABEL.match(rest, at)
                    assert m, line
                    labels.append(m.groups())
                    at = m.end() + (rest[m.end()] == ",")
                rest = rest[at + 1:]
            assert re.fullmatch(r" ([+-]?Inf|NaN|[-+0-9.e]+)", rest), line
            key = (name, tuple(labels))
            assert key not in seen and len({n for n, _ in labels}) == len(labels), line
            seen.add(key)
            kind, samples = families[current]
            base = re.sub(r"_(bucket|sum|count)$", "", name) if kind == "histogram" else name
            assert base == current and kind, f"{line}: outside of its family"
            samples[key] = float(rest)
    for name, (kind, samples) in families.items():
        if kind == "counter":
            assert name.endswith("_total"), name
            assert all(v >= 0 for v in samples.values())
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        own = tuple(l for l in labels if l[0] != "le")
        if sample.endswith("_bucket"):
            series.setdefault(own, []).append((float(dict(labels)["le"]), value))
    for own, buckets in series.items():
        bounds, counts = zip(*buckets)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), (name, bounds)
        assert list(counts) == sorted(counts), (name, counts)
        assert samples[name + "_count", own] == counts[-1]
        assert (name + "_sum", own) in samples


def scrape():
    answer = once(d.address, "GET", "/metrics")
    assert answer.status == 200 and answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body.decode("utf-8"))


def value(families, name, **labels):
    for kind, samples in families.values():
        for (sample, own), v in samples.items():
            if sample == name and dict(own) == labels:
                return v
    return 0


def format_and_names():
    """the format is right and every name of the design is there"""
    d.classify(headers=[("SLA-Deadline-Ms", "10000")])
    families = scrape()
    for name, kind, labels in (
            ("autodidact_requests_total", "counter", {"model", "classifier", "reason", "code"}),
            ("autodidact_request_duration_seconds", "histogram", {"model", "classifier"}),
            ("autodidact_queue_wait_seconds", "histogram", {"section"}),
            ("autodidact_section_duration_seconds", "histogram", {"model", "section"}),
            ("autodidact_batch_size", "histogram", {"model", "section"}), ("autodidact_requests_in_flight", "gauge", set()),
            ("autodidact_deadlines_total", "counter", {"result"}), ("autodidact_refused_total", "counter", {"reason"}),
            ("autodidact_prediction_error_ratio", "histogram", {"section"}), ("autodidact_slow_down_ratio", "gauge", {"model"}),
            ("autodidact_helped_ratio", "gauge", {"model"}), ("autodidact_margin_seconds", "gauge", set()),
            ("autodidact_model_info", "gauge", {"model", "version", "sha256"}),
            ("autodidact_log_lost_total", "counter", set()), ("process_cpu_seconds_total", "counter", set()), ("process_open_fds", "gauge", set()),
            ("process_max_fds", "gauge", set()), ("process_resident_memory_bytes", "gauge", set()),
            ("process_virtual_memory_bytes", "gauge", set()), ("process_start_time_seconds", "gauge", set())):
        assert name in families, f"{name} is missing"
        assert families[name][0] == kind, name
        for _, own in families[name][1]:
            assert {n for n, _ in own} - {"le"} == labels, (name, own)


def requests_counted():
    """every answer is counted once, under its classifier, reason and code"""
    before = scrape()
    for _ in range(3):
        d.classify(headers=[("SLA-Classifier", "2")])
    d.classify(headers=[("SLA-Min-Accuracy", "0.55")])
    d.classify(b"junk")
    d.classify(type="text/plain")
    d.classify(query="?model=unknown-name")
    d.classify(headers=[("SLA-Nonsense", "1")])
    d.classify(headers=[("SLA-Deadline-Ms", "0.000001")])
    after = scrape()

    def more(**labels):
        return (value(after, "autodidact_requests_total", **labels) - value(before, "autodidact_requests_total", **labels))
    assert more(model="resnet18", classifier="2", reason="requested", code="200") == 3
    assert more(model="resnet18", classifier="3", reason="accuracy", code="200") == 1
    none = {"classifier": "none", "reason": "none"}
    assert more(model="resnet18", code="415", **none) == more(model="resnet18", code="504", **none) == 1
    assert more(model="none", code="415", **none) == more(model="none", code="404", **none) == 1
    assert more(model="none", code="400", **none) == 1
    assert not any("unknown-name" in str(f) for f in after.values()), "a client's word became a label"
    name = "autodidact_request_duration_seconds_count"
    assert value(after, name, model="resnet18", classifier="2") - value(before, name, model="resnet18", classifier="2") == 3
    total = [sum(f["autodidact_requests_total"][1].values()) for f in (before, after)]
    assert total[1] - total[0] == 9


def engine_counted():
    """sections, batches and waits are those of what ran"""
    before = scrape()
    for _ in range(4):
        d.classify(headers=[("SLA-Classifier", "3")])
    after = scrape()
    for name in ("autodidact_section_duration_seconds_count", "autodidact_batch_size_count"):
        for section, expected in (("1", 4), ("2", 4), ("3", 4), ("4", 0)):
            labels = {"section": section, "model": "resnet18"}
            assert value(after, name, **labels) - value(before, name, **labels) == expected, (name, section)
    name = "autodidact_queue_wait_seconds_count"  # a lone image goes on without waiting
    assert value(after, name, section="1") - value(before, name, section="1") == 4


def deadlines_counted():
    """deadlines met and missed, refusals by reason"""
    before = scrape()
    assert d.classify(headers=[("SLA-Deadline-Ms", "20000")]).status == 200
    assert d.classify(headers=[("SLA-Deadline-Ms", "0.000001")]).status == 504
    for bad in ({"body": b"junk"}, {"query": "?model=unknown-name"}):  # neither met nor missed
        assert d.classify(headers=[("SLA-Deadline-Ms", "20000")], **bad).status in (404, 415)
    after = scrape()
    for result in ("met", "missed"):
        assert value(after, "autodidact_deadlines_total", result=result) - value(before, "autodidact_deadlines_total", result=result) == 1
    assert value(after, "autodidact_refused_total", reason="deadline") - value(before, "autodidact_refused_total", reason="deadline") == 1


def chessboard():
    """A PNG of more contrast than what a version is tried with before it serves."""
    rows = b"".join(b"\0" + b"".join((b"\xff" if (x + y) % 2 == 0 else b"\0") * 3 for x in range(32)) for y in range(32))
    return png(data=zlib.compress(rows))


def not_finite():
    """a model that computes what is not finite: 500 that says which classifier, counted and logged"""
    with Daemon(model=make_model(kind="overflow")) as broken:
        strong = chessboard()
        assert broken.classify(headers=[("SLA-Classifier", "2")]).status == 200
        assert broken.classify(strong, headers=[("SLA-Classifier", "1")]).status == 200
        for headers in ([("SLA-Classifier", "2")], [("SLA-Classifier", "ensemble")], [("SLA-Min-Confidence", "1")]):
            problem(broken.classify(strong, headers=headers), 500, "classifier 2 of model resnet18, version 1", "not finite")
        j = broken.classify_json({"images": [base64.b64encode(strong).decode()] * 2}, [("SLA-Classifier", "2")])
        problem(j, 500, "images[0]: classifier 2")
        assert broken.classify(strong, headers=[("SLA-Classifier", "4")]).status == 200
        counted = broken.metrics()
        assert counted['autodidact_not_finite_total{model="resnet18",classifier="2"}'] == 5, counted
        assert counted['autodidact_requests_total{model="resnet18",classifier="none",reason="none",code="500"}'] == 4, counted
        assert broken.text().count("not finite") == 4, broken.text()


def in_flight():
    """requests in flight rise while a body is on its way and fall when it is lost, or ends too soon"""
    for end, code in ((Wire.reset, "499"), (Wire.close, "400")):
        w = Wire(d.address)
        w.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc")
        until(lambda: value(scrape(), "autodidact_requests_in_flight") == 1, "one is in flight")
        before = scrape()
        end(w)
        until(lambda: value(scrape(), "autodidact_requests_in_flight") == 0, "none is in flight")
        labels = {"model": "none", "classifier": "none", "reason": "none", "code": code}
        assert value(scrape(), "autodidact_requests_total", **labels) == value(before, "autodidact_requests_total", **labels) + 1


def process():
    """process_* are this process's"""
    families = scrape()
    with open(f"/proc/{d.process.pid}/statm") as f:
        pages = [int(v) for v in f.read().split()]
    assert abs(value(families, "process_virtual_memory_bytes") - pages[0] * 4096) < 64 << 20
    assert abs(value(families, "process_resident_memory_bytes") - pages[1] * 4096) < 16 << 20
    assert 3 < value(families, "process_open_fds") < 200 < value(families, "process_max_fds")
    assert value(families, "process_cpu_seconds_total") > 0


def model_info():
    """autodidact_model_info has one series a model, with its version and SHA-256"""
    m, = once(d.address, "GET", "/v1/models").json["models"]
    assert scrape()["autodidact_model_info"][1] == {
        ("autodidact_model_info", (("model", "resnet18"), ("version", "1"), ("sha256", m["sha256"]))): 1}


with Daemon() as d:
    run([format_and_names, requests_counted, engine_counted, deadlines_counted, not_finite, in_flight, process, model_info])
