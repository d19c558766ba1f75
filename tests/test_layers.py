"""Layers: src/LAYERS is the law, this test enforces it. Prints TAP.

A file of src/X or include/X includes headers of X and of the layers listed after X only, however the path is spelled:
every quoted include is resolved to a file, and that file is judged. A test sees its own layer's private headers and
the public ones of all layers below. A library header that LAYERS binds to layers is included there only. A header in
include/ is used by another layer, itself or through one that is.
"""
import os
import re
import sys

ROOT = os.path.realpath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def read_layers(path):
    """-> ({layer: set of layers it may include, itself too}, {library header: set of layers})"""
    allowed, library = {}, {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("<"):
                for names, layers in re.findall(r"((?:<[^>]+>\s*)+):\s*([a-z ]+)", line):
                    for header in re.findall(r"<([^>]+)>", names):
                        library.setdefault(os.path.basename(header), set()).update(layers.split())
                continue
            m = re.match(r"([a-z]+):\s+(.*)", line)
            if m:  # The list of layers ends where two blanks and the description begin.
                allowed[m.group(1)] = m.group(2).split("  ")[0].split()
    for layer, words in allowed.items():
        if words[:1] == ["all"]:
            names = set(allowed) - set(words[2:] if words[1:2] == ["but"] else [])
        else:
            names = set(words) & set(allowed)
        allowed[layer] = names | {layer}
    return allowed, library


def closure(allowed, layer):
    """-> a layer and all that it links"""
    found, before = {layer}, set()
    while found != before:
        before = found
        found = found.union(*(allowed[other] for other in before))
    return found


def sources():
    """-> [(path from the root, text)] of all .c and .h below src, include and tests"""
    found = []
    for top in ("src", "include", "tests"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        found.append((os.path.relpath(path, ROOT), f.read()))
    return found


def place(path):
    """-> (src, include or tests; layer or None)"""
    parts = path.split(os.sep)
    return parts[0], parts[1] if len(parts) > 2 else None


def resolve(path, header):
    """-> the file that a quoted include means, from the root; None: it is made by the build"""
    for base in (os.path.join(ROOT, os.path.dirname(path)), os.path.join(ROOT, "include")):
        target = os.path.realpath(os.path.join(base, header))
        if os.path.isfile(target):
            return os.path.relpath(target, ROOT)
    return None


class Law:
    def __init__(self):
        self.allowed, self.bound = read_layers(os.path.join(ROOT, "src", "LAYERS"))
        self.below = {layer: closure(self.allowed, layer) for layer in self.allowed}
        self.problems = []
        self.users = {}  # public header -> files that include it

    def judge_quoted(self, where, path, header):
        top, layer = place(path)
        target = resolve(path, header)
        if target is None:
            if "/" in header:
                self.problems.append(f"{where}: no such header: {header}")
            return
        self.users.setdefault(target, set()).add(path)
        target_top, target_layer = place(target)
        if layer not in self.allowed or target_layer not in self.allowed:
            if top != "tests":
                self.problems.append(f"{where}: {target} is of no layer")
        elif target_layer not in (self.below[layer] if top == "tests" else self.allowed[layer]):
            self.problems.append(f"{where}: {layer} may not include {target}")
        elif target_top == "tests" and top != "tests":
            self.problems.append(f"{where}: {target} is a test's")
        elif target_top == "src" and target_layer != layer:
            self.problems.append(f"{where}: {target} is private to {target_layer}")

    def judge_library(self, where, path, header):
        top, layer = place(path)
        layers = self.bound.get(os.path.basename(header))
        if layers is not None and top != "tests" and layer not in layers:
            self.problems.append(f"{where}: <{header}> is for {' '.join(sorted(layers))} only")

    def judge_public(self, headers):
        """Used by another layer's sources, or through a header that is."""
        used, before = set(), None
        while before != len(used):
            before = len(used)
            for header in headers:
                for user in self.users.get(header, ()):
                    top, layer = place(user)
                    if user in used or (top != "tests" and layer != place(header)[1]):
                        used.add(header)
        for header in headers:
            if header not in used:
                self.problems.append(f"{header}: no other layer uses it; private headers stand beside the sources")


def main():
    law, files = Law(), sources()
    for path, text in files:
        for m in INCLUDE.finditer(text):
            where = f"{path}:{text.count(chr(10), 0, m.start()) + 1}"
            judge = law.judge_quoted if m.group(1) == '"' else law.judge_library
            judge(where, path, m.group(2))
    law.judge_public([path for path, _ in files if path.startswith("include" + os.sep)])
    for p in law.problems:
        print("#", p)
    print("1..1")
    print("not ok" if law.problems or not files else "ok", f"1 - layers of {len(files)} files")
    return 1 if law.problems or not files else 0


sys.exit(main())
