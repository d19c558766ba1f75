"""Loads: who asks when for what, the generator that sends it, and what came of it by the client's clock."""
import collections, configparser, json, os, random, struct, subprocess

RECORD = struct.Struct("<qqiiHHHH")
Record = collections.namedtuple("Record", "sent_ns done_ns status index classifier reason deadline detail")


class Class:
    """Requests of one kind."""

    def __init__(self, name, share, deadline_ms, headers, images=None, model=None):
        self.name, self.share, self.deadline_ms, self.headers = name, share, deadline_ms, headers
        self.images, self.model = images, model # images: a range of the test images; None: all. model: None: the default one

    def head(self, address):
        query = "" if self.model is None else "&model=" + self.model
        lines = [f"POST /v1/classify?top=1{query} HTTP/1.1", "Host: %s:%d" % address, "Content-Type: image/png"]
        return "".join(line + "\r\n" for line in lines + [f"{k}: {v}" for k, v in self.headers.items()]).encode()


def read_classes(path, batch1_ms):
    """A section for each class:

        [gold]
        share = 0.3             of all requests
        deadline = 5x           times what one image takes alone on one thread; or in ms: 16
        images = 0-4999         of the test images; all, if not given
        model = NAME            if not the daemon's default: it is served under this name, too
        SLA-On-Miss = fail      a header, like all others; SLA-Deadline-Ms is the deadline unless told = no
        told = yes              the daemon gets to know the deadline
    """
    file = configparser.ConfigParser(interpolation=None)
    file.optionxform = str
    with open(path) as f:
        file.read_file(f)
    found = []
    for name in file.sections():
        given = dict(file[name])
        share, deadline = float(given.pop("share")), given.pop("deadline", None)
        images, told = given.pop("images", None), given.pop("told", "yes") == "yes"
        model = given.pop("model", None)
        ms = None
        if deadline is not None:
            ms = float(deadline[:-1]) * batch1_ms if deadline.endswith("x") else float(deadline)
            if told:
                given["SLA-Deadline-Ms"] = f"{ms:.3f}"
        if images is not None:
            low, high = images.split("-")
            images = range(int(low), int(high) + 1)
        found.append(Class(name, share, ms, given, images, model))
    return found


# ---- arrivals: ascending seconds, at so many a second in the mean ----

def poisson(rate, seconds, rng):
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


def constant(rate, seconds, rng):
    for i in range(int(rate * seconds)):
        yield i / rate


def bursts(rate, seconds, rng, busy=0.5, quiet=0.5):
    """For half a second at that rate, by chance, then nothing for as long."""
    for at in poisson(rate, seconds * busy / (busy + quiet), rng):
        yield at + at // busy * quiet


ARRIVALS = {"poisson": poisson, "constant": constant, "bursts": bursts}


class Load:
    """What is sent: [(seconds, class number, image number)]."""

    def __init__(self, classes, arrivals, rate, seconds, n_images, seed):
        rng = random.Random(seed)
        shares = [c.share for c in classes]
        self.classes, self.rate, self.seconds = classes, rate, seconds
        ranges = [c.images if c.images is not None else range(n_images) for c in classes]
        self.requests = []
        for at in ARRIVALS[arrivals](rate, seconds, rng):
            k = rng.choices(range(len(classes)), shares)[0] if len(classes) > 1 else 0
            self.requests.append((at, k, rng.choice(ranges[k])))


def texts(items):
    return struct.pack("<I", len(items)) + b"".join(struct.pack("<I", len(t)) + t for t in items)


def write_plan(path, load, images, address):
    with open(path, "wb") as f:
        f.write(texts([c.head(address) for c in load.classes]) + texts([png for _, png in images]))
        f.write(struct.pack("<I", len(load.requests)))
        for at, k, image in load.requests:
            f.write(struct.pack("<qII", int(at * 1e9), k, image))


class Sent:
    """What came of a load."""

    def __init__(self, load, labels, summary, records):
        self.load, self.labels, self.summary, self.records = load, labels, summary, records
        self.notes = summary["notes"]


def send(generator, folder, load, images, address, connections=4000, grace_s=3):
    plan, out = os.path.join(folder, "plan"), os.path.join(folder, "records")
    write_plan(plan, load, images, address)
    p = subprocess.run([generator, address[0], str(address[1]), plan, out, str(connections), str(grace_s)],
                       stdout=subprocess.PIPE, text=True)
    if p.returncode != 0:
        raise SystemExit(f"the generator failed with exit status {p.returncode}")
    with open(out, "rb") as f:
        records = [Record._make(r) for r in RECORD.iter_unpack(f.read())]
    return Sent(load, [label for label, _ in images], json.loads(p.stdout), records)


# ---- the bound ----

def answers_of(model):
    """-> [(seconds of a worker, accuracy)] of each classifier of a model of /v1/models: the least that an image takes of it, in
    whatever batches are best for each section and head. The accuracy is that of the held-out images."""
    costs = model["costs"]
    least = lambda times: min(ms / n for ms, n in zip(times, costs["batches"])) / 1e3
    sections, heads = [least(t) for t in costs["sections_ms"]], [least(t) for t in costs["heads_ms"]]
    until = [sum(sections[:k + 1]) for k in range(len(sections))]
    found = [(until[k] + heads[k], e["accuracy"]) for k, e in enumerate(model["exits"])]
    found.append((until[-1] + sum(head for head, e in zip(heads, model["exits"]) if e["learned"]), model["ensemble"]["accuracy"]))
    for ensemble in model["running"]:
        parts = [k for k, weight in enumerate(ensemble["weights"]) if weight > 0]
        found.append((until[parts[-1]] + sum(heads[k] for k in parts), ensemble["accuracy"]))
    return [(seconds, worth) for seconds, worth in found if worth is not None]


def bound_per_s(program, load, models, workers):
    """Answers a second that could be in time and right at most, whatever answers with whichever classifier, and knows all that
    comes. models: of /v1/models."""
    lines = [f"{workers} {len(load.classes)}"]
    for c in load.classes:
        answers = answers_of(next(m for m in models if m["name"] == c.model or (c.model is None and m["default"])))
        lines.append(" ".join([str(len(answers))] + [f"{seconds:.9g} {worth:.9g}" for seconds, worth in answers]))
    lines.append(str(len(load.requests)))
    for at, k, _ in load.requests:
        ms = load.classes[k].deadline_ms
        lines.append(f"{at:.9f} {-1 if ms is None else at + ms / 1e3:.9f} {k}")
    p = subprocess.run([program], input="\n".join(lines), stdout=subprocess.PIPE, text=True)
    if p.returncode != 0:
        raise SystemExit(f"{program} failed with exit status {p.returncode}")
    return float(p.stdout) / load.seconds


# ---- figures ----

def quantile(ordered, q):
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


def quantiles(values):
    ordered = sorted(values)
    return {"p50": quantile(ordered, 0.5), "p99": quantile(ordered, 0.99), "p99.9": quantile(ordered, 0.999)}


def class_figures(sent, number):
    """Of one class, or (None) of all."""
    load, notes = sent.load, sent.notes
    n = answered = met = right = said_met = 0
    exits, reasons, refused, refusal_ms, latency_ms = (collections.Counter(), collections.Counter(), collections.Counter(),
                                                       [], [])
    for (at, k, image), r in zip(load.requests, sent.records):
        if number is not None and k != number:
            continue
        n += 1
        deadline_ms = load.classes[k].deadline_ms
        ms = r.done_ns / 1e6 - at * 1e3 if r.done_ns >= 0 else None
        if r.status == 200:
            answered += 1
            latency_ms.append(ms)
            in_time = deadline_ms is None or ms <= deadline_ms
            met += in_time
            right += in_time and r.index == sent.labels[image]
            said_met += notes[r.deadline] == "met"
            exits[notes[r.classifier]] += 1
            reasons[notes[r.reason]] += 1
        elif r.done_ns >= 0:
            refusal_ms.append(ms)
            refused[f"{r.status} {notes[r.detail]}"] += 1
        else:
            refused["no answer" if r.sent_ns >= 0 else "not sent"] += 1
    return {"requests": n, "answered": answered, "met": met, "met_share": met / n if n else None,
            "in_time_per_s": met / load.seconds, "right_per_s": right / load.seconds, "said_met": said_met,
            "exits": dict(sorted(exits.items())), "reasons": dict(reasons), "refused": dict(refused.most_common()),
            "latency_ms": quantiles(latency_ms), "refusal_ms": quantiles(refusal_ms)}


def figures(sent):
    s = sent.summary
    late_ms = sorted((r.sent_ns / 1e6 - at * 1e3) for (at, _, _), r in zip(sent.load.requests, sent.records) if r.sent_ns >= 0)
    classes = sent.load.classes
    return {"seconds": sent.load.seconds, "all": class_figures(sent, None),
            "classes": {c.name: class_figures(sent, k) for k, c in enumerate(classes)} if len(classes) > 1 else {},
            "generator": {"cpu_share": s["cpu_s"] / s["seconds"], "late_ms": quantiles(late_ms),
                          **{key: s[key] for key in ("priority", "connections", "opened_late", "reopened", "unsent", "lost",
                                                     "unanswered")}}}


def spoilt(found):
    """What else than the server these figures may show; None: nothing."""
    g = found["generator"]
    if g["unsent"] > 0:
        return f"{g['unsent']} requests were not sent, for want of connections"
    if g["late_ms"]["p99"] is not None and g["late_ms"]["p99"] > 1:
        return f"the generator sent up to {g['late_ms']['p99']:.1f} ms late (99 %)"
    if g["cpu_share"] > 0.5:
        return f"the generator took {g['cpu_share']:.2f} of a processor"
    if found.get("others_cpu_share", 0) > 0.1:
        return f"something else took {found['others_cpu_share']:.2f} of a processor"
    return None
