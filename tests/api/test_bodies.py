#!/usr/bin/env python3
"""POST and PUT /v1/classify: the forms in which a body is taken, and how what is not taken is named."""
import base64, glob, json, os, shutil, subprocess, tempfile, urllib.parse, urllib.request
from daemon import BUILD, Daemon, SAMPLES, Skip, form, once, png, problem, run

LIMITS = ["http.images_max=4"]
FORM = "multipart/form-data; boundary=x"
IMAGE = png(seed=3)
TEXT = base64.b64encode(IMAGE).decode()
WEBP = b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 50
WEBP_TEXT = base64.b64encode(WEBP).decode()
d = None
expected = None


def same(answer, many=False):
    """It is the answer for IMAGE."""
    assert answer.status == 200, answer
    result = answer.json["results"][0] if many else answer.json
    assert many == ("results" in answer.json), answer
    assert result["index"] == expected["index"] and abs(result["confidence"] - expected["confidence"]) < 1e-4, answer
    return answer.json


def taken(name, *rows):
    """A test that all rows (body, type, query) are answered as IMAGE is."""
    def test():
        for body, type, *query in rows:
            headers = [] if type is None else [("Content-Type", type)]
            same(once(d.address, "POST", "/v1/classify" + "".join(query), body, headers))
    test.__doc__ = name
    return test


def refused(name, status, words, *rows):
    """A test that all rows (body, type, query) are refused so."""
    def test():
        for body, type, *query in rows:
            headers = [] if type is None else [("Content-Type", type)]
            answer = once(d.address, "POST", "/v1/classify" + "".join(query), body, headers)
            problem(answer, status, *words)
            if status == 415:
                assert "image/png" in answer.header("Accept"), answer
    test.__doc__ = name
    return test


def document(**members):
    return json.dumps({"image": TEXT, **members}).encode()


def put():
    """curl -T: PUT does what POST does, with and without a type"""
    for headers in ([], [("Content-Type", "image/png")]):
        same(once(d.address, "PUT", "/v1/classify?top=3", IMAGE, headers))
    same(once(d.address, "PUT", "/v1/classify", document(), [("Content-Type", "application/json")]))
    problem(once(d.address, "PUT", "/v1/classify", WEBP), 415, "WebP")
    assert once(d.address, "GET", "/v1/classify").header("Allow") == "POST, PUT"


def curl():
    """what curl sends by itself: -T, --data-binary, -d with JSON, -F of several files"""
    if not shutil.which("curl"): raise Skip("there is no curl")
    with tempfile.NamedTemporaryFile(suffix=".png") as f, tempfile.NamedTemporaryFile() as text:
        f.write(IMAGE), f.flush()
        text.write(document()), text.flush()
        for arguments, many in ((["-T", f.name], False), (["--data-binary", f"@{f.name}"], False), (["-d", f"@{text.name}"], False),
                                (["-F", f"file=@{f.name}"], False), (["-F", f"images=@{f.name}", "-F", "top=2"], True)):
            done = subprocess.run(["curl", "-sS", "--noproxy", "*", *arguments, f"http://{d.address}/v1/classify"],
                                  capture_output=True, check=True)
            answer = json.loads(done.stdout)
            assert (answer["results"][0] if many else answer)["index"] == expected["index"], answer


def urllib_sends():
    """what urllib sends by itself"""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for body in (IMAGE, document()):
        with opener.open(urllib.request.Request(f"http://{d.address}/v1/classify", data=body)) as answer:
            assert json.load(answer)["index"] == expected["index"]


def tool():
    """autodidact classify: the bad one of several files is said, also as JSON, the others are printed, exit 1"""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("a.png", "b.webp", "c.png")]
        for path, data in zip(files, (IMAGE, WEBP, IMAGE)):
            with open(path, "wb") as f:
                f.write(data)
        command = [os.path.join(BUILD, "autodidact"), "classify", "--url", f"http://{d.address}"]
        for more in ([], ["--json"]):
            done = subprocess.run(command + more + files, capture_output=True, text=True)
            assert done.returncode == 1 and "b.webp: 415 this is a WebP image" in done.stderr, done
            rows = done.stdout.splitlines()
            assert len(rows) == 3 and expected["label"] in rows[0] and expected["label"] in rows[2], rows
        rows = [json.loads(row) for row in rows]
        assert [r["image"] for r in rows] == files and [r.get("status") for r in rows] == [None, 415, None], rows
        assert subprocess.run(command + files[:1], capture_output=True).returncode == 0


def top_everywhere():
    """top, explain and model in the body: as in the query, and checked as there"""
    for answer in (d.classify_json({"image": TEXT, "top": 2}), d.classify_json({"image": TEXT, "top": "2"}, query="?top=2"),
                   d.classify_json({"image": TEXT, "top": 2, "explain": False, "model": "resnet18"}, query="?model=resnet18"),
                   d.classify(form(("image", IMAGE), ("top", "2"), ("explain", "0"), ("model", "resnet18")), type=FORM)):
        assert len(same(answer)["top"]) == 2 and "exits" not in answer.json, answer
    for answer in (d.classify_json({"image": TEXT, "explain": True}), d.classify(form(("explain", "1"), ("image", IMAGE)), type=FORM)):
        assert len(same(answer)["exits"]) == 1 and len(answer.json["top"]) == 5
    for name, value, words in (("top", 0, ["top takes", "1 to 1000"]), ("top", 1001, ["top takes"]), ("top", "x", ["top takes"]),
                               ("explain", 7, ["explain takes"]), ("model", "../x", ["model takes"]), ("top", "3", ["top", "disagree", "3", "4"]),
                               ("explain", "1", ["explain", "disagree"]), ("model", "other", ["model", "disagree", "other", "resnet18"])):
        query = "?top=4&explain=0&model=resnet18" if "disagree" in words else ""
        problem(d.classify_json({"image": TEXT, name: value}, query=query), 400, *words)
        problem(d.classify(form(("image", IMAGE), (name, str(value))), type=FORM, query=query), 400, *words)
    problem(d.classify_json({"image": TEXT, "model": "other"}), 404, "other")
    problem(d.classify_json({"image": TEXT, "top": 1.5}), 400, "top")
    problem(d.classify_json({"image": TEXT, "top": None}), 400, "top")
    problem(d.classify(form(("top", "1"), ("top", "1"), ("image", IMAGE)), type=FORM), 400, "top", "duplicate")
    problem(d.classify(form(("top", "1\0"), ("image", IMAGE)), type=FORM), 400, "top")


def form_names():
    """parts named file, files, image, images, with brackets or not; those that say several give a list"""
    for name in ("image", "file"):
        same(d.classify(form((name, IMAGE)), type=FORM))
    for name in ("images", "files", "image[]", "images[]", "file[]", "files[]"):
        same(d.classify(form((name, IMAGE)), type=FORM), many=True)
    answer = d.classify(form(("file", IMAGE), ("images[]", png(seed=1)), ("image", png(seed=2))), type=FORM)
    same(answer, many=True)
    assert len(answer.json["results"]) == 3
    for name in ("picture", "image[", "image[0]", "[]", "imagess", "Image"):
        problem(d.classify(form((name, IMAGE)), type=FORM), 400, name, "image")


def form_liberties():
    """what may stand around a form's parts, and files that were not chosen"""
    whole = form(("image", IMAGE))
    for body in (b"This is a form.\r\n" + whole, b"\r\n" + whole, whole + b"bye", whole.replace(b"--x\r\n", b"--x \t\r\n"),
                 form(("image", IMAGE, "; filename*=UTF-8''%e2%82%ac.png\r\nContent-Type: image/pjpeg")),
                 form(("image", IMAGE, ";\r\n filename=a.png")),
                 form(("image", b"", '; filename=""\r\nContent-Type: application/octet-stream'), ("image", IMAGE)),
                 form(("_charset_", "utf-8"), ("image", IMAGE))):
        same(d.classify(body, type=FORM))
    problem(d.classify(form(("image", b"", '; filename=""')), type=FORM), 400, "image is missing")


def one_of_many():
    """one bad image fails alone: a problem document with its index is its result, whatever is wrong"""
    kinds = ((WEBP_TEXT, 415, "this is a WebP image (image/webp); JPEG and PNG are taken"), ("!!!!", 400, "base64"),
             ("data:image/png,%8", 400, "two hexadecimal digits"), ("", 400, "empty"),
             (base64.b64encode(IMAGE[:40]).decode(), 422, "PNG"))
    for text, status, words in kinds:
        j = same(d.classify_json({"images": [TEXT, text, TEXT]}), many=True)
        bad = j["results"][1]
        assert set(bad) == {"type", "title", "status", "detail", "error", "image"}, bad
        assert bad["status"] == status and bad["image"] == 1 and words in bad["detail"] and bad["title"], bad
        assert bad["error"] == bad["detail"] and "label" in j["results"][2]
        problem(d.classify_json({"images": [text, text]}), status, "images[0]", words)
        problem(d.classify_json({"images": [text]}), status, "images[0]", words)
        problem(d.classify_json({"image": text}), status, words)
    parts = (("image", IMAGE), ("image", WEBP), ("image", b""), ("image", IMAGE, "\r\nContent-Type: text/html"))
    j = same(d.classify(form(*parts), type=FORM), many=True)
    assert [r.get("status") for r in j["results"]] == [None, 415, 400, 415], j
    assert [r.get("image") for r in j["results"]] == [None, 1, 2, 3] and "text/html" in j["results"][3]["detail"]
    answer = d.classify(form(parts[3]), type=FORM)
    problem(answer, 415, "text/html", "image/png")
    assert answer.header("Accept") == "image/jpeg, image/png"
    for body in ({"images": [TEXT, 7]}, {"images": [TEXT, None]}, {"images": [TEXT, [TEXT]]}):
        problem(d.classify_json(body), 400, "images[1]", "string")


def too_many():
    """the number of images has an option, which the error names"""
    problem(d.classify_json({"images": [TEXT] * 5}), 413, "5 of them", "at most 4", "http.images_max")
    problem(d.classify(form(*[("image", IMAGE)] * 5), type=FORM), 413, "4", "http.images_max")
    assert len(same(d.classify_json({"images": [TEXT] * 4}), many=True)["results"]) == 4


def texts():
    """base64 of every dialect, and data: URLs"""
    url = base64.urlsafe_b64encode(IMAGE).decode()
    assert "+" in TEXT and "/" in TEXT or "-" in url
    for text in (TEXT, TEXT.rstrip("="), url, url.rstrip("="), " " + TEXT + "\n", "\n".join(TEXT[i:i + 76] for i in range(0, len(TEXT), 76)),
                 "data:image/png;base64," + TEXT, "DATA:;BASE64," + TEXT.rstrip("="), "data:image/webp;charset=utf-8;base64," + url,
                 " data:image/png;base64, " + TEXT, "data:image/png;base64," + urllib.parse.quote(TEXT, safe=""),
                 "data:," + urllib.parse.quote(IMAGE, safe=""), "data:image/png," + urllib.parse.quote_from_bytes(IMAGE)):
        same(d.classify_json({"image": text}))
    for text, words in (("data:image/png;base64", ["comma"]), ("data:image/png;base64,", ["empty"]), ("data:,", ["empty"]),
                        ("data:;base64,AAA%3", ["hexadecimal"]), ("data:;base64,!", ["base64"]), ("data:,%zz", ["hexadecimal"]),
                        ("data:" + "a" * 2000 + "," + TEXT, ["comma"]), (TEXT[:-4] + "=" * 4, ["base64"]), ("-/" + TEXT, ["base64"])):
        problem(d.classify_json({"image": text}), 400, "image", *words)


CASES = [
    taken("types: none, octet-stream, curl's and urllib's, and other names of JPEG and PNG",
          *((IMAGE, type) for type in (None, "", "application/octet-stream", "application/x-www-form-urlencoded", "image/png", "image/jpeg",
                                       "image/jpg", "image/pjpeg", "image/x-png", "IMAGE/PNG; q=1", "image/webp"))),
    taken("JSON by its first byte, where the type says nothing",
          *((b, type) for b in (document(), b" \n" + document())
            for type in (None, "application/octet-stream", "application/x-www-form-urlencoded"))),
    taken("empty members of the query", *((IMAGE, "image/png", q) for q in ("?", "?&", "?top=3&", "?&top=3", "?&top=3&&explain=0&", "?=", "?&=&"))),
    refused("a query member without a name is none that is known", 400, ["?="], (IMAGE, "image/png", "?=5")),
    refused("another format is named with its type", 415, ["this is a WebP image (image/webp); JPEG and PNG are taken"],
            *((WEBP, type) for type in ("image/webp", "image/png", None, "application/octet-stream", "application/x-www-form-urlencoded"))),
    refused("what is no image is named", 415, ["JPEG and PNG"], (b"GIF89a" + b"\0" * 50, "image/gif"), (b"%PDF-1.7" + b"\0" * 50, None),
            (TEXT.encode(), None), (document(), "image/png"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")),
    refused("what nobody knows is so called", 415, ["neither a JPEG nor a PNG"], (b"hello, world" * 10, None),
            (b"\xff\xd9", "image/jpeg")),
    refused("a form of names and values is told what to be", 415, ["multipart/form-data", "--data-binary"],
            (b"image=abc&top=3", "application/x-www-form-urlencoded")),
    refused("another type is refused before its body", 415, ["text/html", "image/jpeg", "multipart/form-data"], (IMAGE, "text/html")),
    put, curl, urllib_sends, tool, top_everywhere, form_names, form_liberties, one_of_many, too_many, texts,
]

with Daemon(LIMITS) as d:
    expected = d.classify(IMAGE).json
    run(CASES)
