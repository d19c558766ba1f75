"""`autodidact report`: the page is whole, well formed, needs nothing from outside, and says what eval says. Prints TAP.
Standard library only."""
import hashlib, html.parser, json, os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from program import SPEC, fails, run
from tiny_cifar import write_set
from tiny_folder import encode
from trainings import main

VOID = {"meta", "br", "input", "link", "img"}


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.data = write_set(self.path("data"))
        self.models, self.logs, self.tables = [], [], []
        for method in ("byot", "baseline"):
            model, log = self.path(method + ".safetensors"), self.path(method + ".log")
            out = run("train", SPEC, "--data", self.data, "--method", method, "--width", "4", "--epochs", "3", "--batch",
                      "20", "--holdout", "200", "--warmup", "0", "--lr", "0.05", "--threads", "2", "--progress", "json",
                      "--log", self.path("tables"), "--out", model)[0]
            with open(log, "w") as f:
                f.write(out)
            self.models.append(model)
            self.logs.append(log)
            self.tables.append(self.path(f"tables/{method}.csv"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def report(self, *args):
        out = self.path("page.html")
        assert run("report", *args, "--out", out) == (out + "\n", "")
        with open(out, encoding="utf-8") as f:
            return f.read()


def png(width, height, pixel):
    """pixel(x, y) -> (r, g, b)"""
    return encode(width, height, [b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height)])


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in their order, and that nothing is fetched."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.names, self.text = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        for name, value in attrs:
            assert name not in ("src", "href", "xlink:href") and not name.startswith("on"), (tag, name)
            assert "url(" not in (value or ""), (tag, name, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def check(text):
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and "http://" not in text and "https://" not in text
    for path in re.findall(r' d="([^"]*)"', text):
        assert re.fullmatch(r"[MLHVlhvz0-9. -]*", path), path
    assert not re.search(r"[\s>=\"](nan|-?inf)\b", text.lower())
    return page


def test_whole(p):
    text = p.report(*p.models, "--data", p.data, "--log", ",".join(p.logs))
    page = check(text)
    said = " ".join(page.text)
    for title in ("At a glance", "What accuracy costs", "Training", "Calibration", "Classes", "Confusion",
                  "Where they come from"):
        assert title in said, title
    # Costs, loss and rate, accuracies, reliability (of the baseline: one exit and the ensemble), classes, confusion.
    assert page.names.count("svg") == 2 + 2 + 2 + (5 + 2) + 2 + 2, page.names.count("svg")
    for model in p.models:
        f = json.loads(run("eval", model, "--data", p.data, "--split", "test", "--json")[0])
        for row in f["exits"]:
            if row.get("learned", True):
                assert f"{100 * row['top1']:.2f}" in said, row
    assert "byot" in said and "200 images of cifar100" in said
    with open(p.models[0], "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() in said


def test_file_alone(p):
    """Without images: what the file says of itself, and curves where there is a log."""
    said = " ".join(check(p.report(p.models[0])).text)
    assert "At a glance" in said and "Confusion" not in said and "Training" not in said
    said = " ".join(check(p.report(*p.models, "--log", "," + p.logs[1])).text)
    assert "Held-out accuracy: baseline" in said and "Held-out accuracy: byot" not in said
    # A log beside the model is found.
    os.link(p.logs[0], p.path("byot.jsonl"))
    said = " ".join(check(p.report(*p.models)).text)
    assert "Held-out accuracy: byot" in said and "Held-out accuracy: baseline" not in said
    os.remove(p.path("byot.jsonl"))


def test_table(p):
    """The table that --log writes says the same; beside the model it is found, and another table there is none."""
    text = p.report(*p.models, "--log", ",".join(p.logs))
    assert "Held-out accuracy: byot" in text and p.report(*p.models, "--log", ",".join(p.tables)) == text
    for table in p.tables:
        os.link(table, p.path(os.path.basename(table)))
    assert p.report(*p.models) == text
    for table in p.tables:
        os.remove(p.path(os.path.basename(table)))
    with open(p.path("byot.csv"), "w") as f:
        f.write("label,1,2,3,4\n1,2,3,4,5\n")
    assert "Held-out accuracy" not in p.report(*p.models)
    fails("report", p.models[0], "--out", p.path("x.html"), "--log", p.path("byot.csv"), text="there is no epoch in it")
    with open(p.path("byot.csv"), "w") as f:
        f.write("epoch,step,train_loss,val_acc\n0,49,4.6,0.1\n1,99,4.5,0.2\n")  # of another program
    assert "Held-out accuracy" not in p.report(*p.models)
    fails("report", p.models[0], "--out", p.path("x.html"), "--log", p.path("byot.csv"), text="there is no epoch in it")
    os.remove(p.path("byot.csv"))
    # Numbers that no curve can be drawn of leave none, and no coordinate that is no number.
    with open(p.path("wild.csv"), "w") as f:
        f.write("epoch,lr,loss/total,accuracy/exit_1\n1,0.1,1e308,nan\n2,inf,-1e308,7e99\n3,0.1,2.5,0.5\n")
    assert not re.search(r"\b(nan|inf)\b", p.report(p.models[0], "--log", p.path("wild.csv")))
    # The last row of a killed training is cut; an epoch that comes again takes the place of the first.
    with open(p.tables[0]) as f:
        rows = f.read().splitlines()
    with open(p.path("cut.csv"), "w") as f:
        f.write("\n".join(rows[:2] + [rows[1], rows[2], rows[3], rows[3][:20]]))
    assert p.report(*p.models, "--log", p.path("cut.csv") + "," + p.tables[1]) == text


def test_few_classes(p):
    """Labels that look like markup, in a folder; few classes are a table."""
    names = ["<b>bold", "a&b", 'quo"te']
    for part in ("train", "test"):
        for k, name in enumerate(names):
            os.makedirs(p.path(f"folder/{part}/{name}"), exist_ok=True)
            for i in range(20):
                with open(p.path(f"folder/{part}/{name}/{i}.png"), "wb") as f:
                    f.write(png(32, 32, lambda x, y: (80 * k, (i * 7 + x * (k + 1)) % 256, (y * 5 + i) % 256)))
    model = p.path("<i>few.safetensors")
    run("train", SPEC, "--data", "folder:" + p.path("folder"), "--method", "byot", "--width", "4", "--epochs", "1",
        "--batch", "10", "--holdout", "10", "--warmup", "0", "--threads", "2", "--progress", "none", "--out", model)
    text = p.report(model, "--data", "folder:" + p.path("folder"))
    page = check(text)
    assert "<b>bold" not in text and "i" in page.names
    assert 'class="matrix"' in text and "&lt;b&gt;bold" in text and "&lt;i&gt;few" in text


def test_usage(p):
    out = p.path("x.html")
    fails("report", p.models[0], code=2, text="--out is missing")
    fails("report", "--out", out, code=2, text="an argument is missing")
    fails("report", p.models[0], "--out", p.models[0], code=2, text="that is the input")
    fails("report", p.models[0], "--out", out, "--split", "test", code=2, text="--split goes with --data")
    fails("report", p.models[0], "--out", out, "--log", p.logs[0] + "," + p.logs[1], code=2,
          text="there are more files than models")
    fails("report", p.models[0], "--out", out, "--log", p.path("data/test.bin"), text="there is no epoch in it")
    fails("report", p.path("none"), "--out", out, text="none")
    fails("report", p.models[0], "--out", p.path("no/x.html"), text="--out")
    fails("report", *[p.models[0]] * 9, "--out", out, code=2, text="unexpected argument")
    assert not os.path.exists(out)
    # Two of one name go by their paths.
    text = p.report(p.models[0], os.path.join(p.folder, ".", "byot.safetensors"))
    assert p.folder in text


sys.exit(main(globals(), Place))
