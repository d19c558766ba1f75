#!/usr/bin/env python3
"""Names: to add an operator, an option or a route takes few files, so the name of one stands in at most 4 sources of src
and include. Prints TAP.

The names are read off the tables. How each is searched for:

* an operator (src/nn/ops.h, OPS): a word that means nothing else here ("upsample") anywhere, in comments and as part of
  identifiers, too; one that many things are called ("mean") by the row op_mean, ROW(mean) and tables with "mean" in
  first place. The functions that append one (build_mean) are what blocks and heads are written in, and are theirs.
* a daemon's option (src/app/options.c, section and key): "section.key" anywhere, and in src/app, where struct config is,
  section_key, too; elsewhere such an identifier is something else.
* an option of training (src/recipe/options.c): as one gives it ("--kd-scale", "kd-scale" and "kd_scale" in quotes) and as a
  member of a recipe (recipe.kd_scale, also of one that is called r); lambda and beta of a formula are the formula's.
  Some words are those of a training itself, which job, progress, model file and other subcommands speak of under the
  same name (a batch is one everywhere); they are listed below, and are not counted.
* a route (src/api/routes.c): its pattern as text, not followed by more of a path; so "/v1/models" is not in
  "/v1/models/x", and routes that differ in the method alone count together.

Kernels are not looked at: each operator has its own in each instruction set.
"""
import os
import re

ROOT = os.path.realpath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
FILES_MAX = 4


def sources():
    found = {}
    for top in ("src", "include"):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if f != "kernel"]
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        found[os.path.relpath(path, ROOT)] = f.read()
    return found


TEXTS = sources()


def rows(path, pattern):
    """What the pattern's groups match in a table; a table that is not read any more is a mistake of this test."""
    found = re.findall(pattern, TEXTS[path], re.MULTILINE)
    assert len(found) >= 5, f"{path}: only {len(found)} names found"
    return found


def files_with(pattern, texts=TEXTS):
    return {path for path, text in texts.items() if re.search(pattern, text)}


OPERATORS_WITH_COMMON_NAMES = {"conv", "norm", "linear", "mean", "relu", "shortcut", "gate"}


def operators():
    for name in rows("src/nn/ops.h", r"^    ROW\((\w+)\)"):
        if name in OPERATORS_WITH_COMMON_NAMES:
            yield name, files_with(rf'\bop_{name}\b(?!\.[ch])|\bROW\({name}\)|\{{"{name}",')
        else:
            yield name, files_with(rf"(?i){name}")


WORDS_OF_TRAININGS = {"data", "method", "epochs", "width", "heads", "init", "batch", "lr", "temperature", "teacher", "peer",
                      "holdout", "seed", "threads", "precision", "store"}


def training_options():
    names = rows("src/recipe/options.c", r'^    \{"([a-z-]+)",\s+RECIPE_')
    assert WORDS_OF_TRAININGS <= set(names), WORDS_OF_TRAININGS - set(names)
    for name in names:
        if name not in WORDS_OF_TRAININGS:
            word, member = name.replace("-", "[-_]"), name.replace("-", "_")
            yield name, files_with(rf'"(?:--)?{word}"|--{name}(?![\w-])|\b(?:recipe|r)(?:\.|->){member}\b')


def daemon_options():
    app = {path: text for path, text in TEXTS.items() if path.startswith("src/app/")}
    for section, key in rows("src/app/options.c", r"^    (?:TEXT|CHOICE|INTEGER|BYTES|REAL)\(\s*(\w+),\s*(\w+),\s"):
        row = r"\(\s*%s,\s*%s," % (section, key)
        yield f"{section}.{key}", files_with(rf"\b{section}\.{key}\b") | files_with(rf"\b{section}_{key}\b|{row}", app)


def routes():
    for pattern in sorted(set(rows("src/api/routes.c", r'\{"[A-Z]+",\s*"(/[^"]*)"'))):
        yield pattern, files_with(re.escape(pattern) + r"(?![\w/{])")


def check(number, what, names):
    total, wrong = 0, []
    for name, files in names:
        total += 1
        if len(files) > FILES_MAX:
            wrong.append(f"# {name} stands in {len(files)} files: {', '.join(sorted(files))}")
        if not files:
            wrong.append(f"# {name} is not found at all: the pattern of this test is wrong")
    print("\n".join(wrong + [f"{'not ok' if wrong else 'ok'} {number} - {what}: {total} names in at most {FILES_MAX} files"]))
    return not wrong


KINDS = [("operators", operators), ("options of training", training_options), ("options of the daemon", daemon_options), ("routes", routes)]
print(f"1..{len(KINDS)}")
good = [check(i + 1, what, names()) for i, (what, names) in enumerate(KINDS)]
raise SystemExit(0 if all(good) else 1)
