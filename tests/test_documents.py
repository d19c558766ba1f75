#!/usr/bin/env python3
"""What documents and comments cite exists. Prints TAP.

* A path in a document (README.md, ARCHITECTURE.md, doc/..) that begins with a directory of the tree, and a header or source
  in `quotes`, is a file or directory there, for a program its source. NAME and CLASS stand for anything.
* Rules of requests are cited by number: the first citation in a file says that they are those of doc/sla.md, and every
  number is one that stands there.
* Nothing cites papers of the workshop that are not in the tree.
* CONTRIBUTING.md's table of fuzz targets has each of tests/fuzz, and no other.
"""
import os
import re

ROOT = os.path.realpath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "NEWS", "models/README.md"]
DIRECTORIES = "src|include|tests|doc|models|bench|etc"
RULE = re.compile(r"\b[Rr]ules? (\d+)")
OUTSIDE = re.compile(r"\bdesign\.md|\bfacts/")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def walk(tops, suffixes):
    for top in tops:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if f not in ("corpus", "vectors", "__pycache__")]
            yield from (os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith(suffixes))


documents = DOCUMENTS + sorted(walk(["doc"], (".md",)))
sources = sorted(walk(["src", "include", "tests", "bench"], (".c", ".h", ".py", ".am")))
names = {os.path.basename(path) for path in sources}


def missing_paths():
    for document in documents:
        text = read(document)
        for path in sorted(set(re.findall(rf"(?<![\w/.-])((?:{DIRECTORIES})/[\w./-]*\w)", text))):
            if "NAME" in path or "CLASS" in path:
                continue
            if not any(os.path.exists(os.path.join(ROOT, path + end)) for end in ("", ".c")):
                yield f"{document} cites {path}, which is not there"
        for path in sorted(set(re.findall(r"`([a-z]\w*(?:/\w+)*\.[ch])`", text))):
            if "NAME" not in path and os.path.basename(path) not in names:
                yield f"{document} cites {path}, which is not there"


def unknown_rules():
    known = set(re.findall(r"^## Rule (\d+):", read("doc/sla.md"), re.MULTILINE))
    for path in sources:
        text = read(path)
        first = RULE.search(text)
        if first is None or path == "tests/test_documents.py":
            continue
        if "doc/sla.md" not in text[:first.end() + 120]:
            yield f"{path} cites a rule, and not doc/sla.md"
        for number in sorted(set(RULE.findall(text)) - known):
            yield f"{path} cites rule {number}, which doc/sla.md does not have"


def outside_citations():
    for path in [*documents, *sources]:
        if path != "tests/test_documents.py" and OUTSIDE.search(read(path)):
            yield f"{path} cites what is not in the tree"


def fuzz_targets():
    table = read("CONTRIBUTING.md").partition("| target | reads |")[2].partition("\n\n")[0]
    listed = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    there = {os.path.basename(path)[len("fuzz_"):-len(".c")] for path in sources if path.startswith("tests/fuzz/fuzz_") and path.endswith(".c")}
    for name in sorted(listed ^ there):
        yield f"the fuzz target {name} " + ("is not there" if name in listed else "is not in CONTRIBUTING.md")


CHECKS = [("documents cite files that exist", missing_paths), ("rules are those of doc/sla.md", unknown_rules),
          ("nothing cites what is outside of the tree", outside_citations),
          ("CONTRIBUTING.md lists the fuzz targets", fuzz_targets)]
print(f"1..{len(CHECKS)}")
good = True
for i, (what, find) in enumerate(CHECKS):
    found = list(find())
    good = good and not found
    print("\n".join([*("# " + line for line in found), f"{'not ok' if found else 'ok'} {i + 1} - {what}"]))
raise SystemExit(0 if good else 1)
