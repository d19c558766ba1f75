#!/usr/bin/env python3
"""Names: to add an operator, an option or a route takes few files, so the name of one stands in at most 4 sources of src
and include. Prints TAP.

The names are read off the tables. A name counts where it stands in a spelling that is specific to it:

* an operator (src/nn/ops.h, OPS): its word anywhere, in comments and as part of identifiers (build_gate), too. Words of
  the field (below) count as the row op_mean, ROW(mean) and tables with "mean" in first place: the functions that append
  one are what blocks and heads are written in, and are theirs.
* an option of training (src/recipe/options.c): its word anywhere, in comments, too, with "-" or "_" ("kd-scale",
  kd_scale, r->kd_scale), and its member of a recipe or draft where that has another name. Words of the field count as
  one gives them ("--hint", and "hint" in quotes) and as a member of a recipe or draft (recipe->hint, draft.hint, r->hint);
  those that other documents and subcommands say under the same name (--threads) as such a member alone.
* a daemon's option (src/app/options.c, section and key): "section.key" anywhere, and in src/app, where struct config is,
  section_key, too; elsewhere such an identifier is something else (src/model/model_file.c).
* a route (src/api/routes.c): its pattern as text, not followed by more of a path; so "/v1/models" is not in
  "/v1/models/x", and routes that differ in the method alone count together.

Kernels are not looked at: each operator has its own in each instruction set. Nor is src/recipe/check.c, which is about what
options say of each other.
"""
import os
import re

ROOT = os.path.realpath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
FILES_MAX = 4

# Operators whose names are words of the field.
OPERATORS_OF_THE_FIELD = {
    "conv": "the arithmetic of a convolution, which a dense layer and a transposed one are computed by, too",
    "norm": "normalisation, a role of parameters and the norm of a vector",
    "linear": "the last layer of a classifier, whatever computes it",
    "mean": "a number",
    "relu": "a flag of most other operators, which it is fused into",
    "shortcut": "the way around a block, in all networks of residual blocks",
}

# Options whose names are words of the field: what else they are.
OPTIONS_OF_THE_FIELD = {
    "accumulate": "what adds a gradient to what is there, in nn",
    "momentum": "the state of SGD in checkpoints, as PyTorch calls it",
    "augment": "what the data layer does to an image, and its file",
    "preset": "a table of its own, struct preset",
    "hint": "a loss between features or maps (nn/loss.h, train/guide.h)",
    "keep": "what anybody does with anything",
    "ranks": "the processes of a training (train/ranks.h), and what each of them is",
    "peer": "the second network of a training, and who is at the other end of a connection",
}

# The same, and members of other documents or options of other subcommands have the name.
OPTIONS_ELSEWHERE = {
    "lr": "of the events that a training prints, and who reads them",
    "data": "images: of eval, compared by metadata and jobs",
    "width": "of an image, a map and a spec",
    "heads": "the classifiers of a spec",
    "init": "thing_init(), and the parent of a job",
    "temperature": "of calibration, in metadata and eval",
    "teacher": "of losses, jobs and metadata",
    "holdout": "a split of the data, in eval and judgements",
    "threads": "of eval, bench and the daemon",
    "precision": "of arithmetic: eval, bench and the daemon",
    "store": "the layer of SQLite",
    "optimizer": "an object of training, and its file",
}

# These are not counted at all.
OPTIONS_OF_EVERYBODY = {
    "method": "what says which of the other options are read: whoever walks them asks for it",
    "epochs": "how long a training is: its rates, its end and its progress go by them",
    "batch": "the size of whatever a training computes, and of whatever is served",
    "seed": "where every random choice begins",
}


def sources():
    found = {}
    for top in ("src", "include"):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if f != "kernel"]
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith((".c", ".h")) and not path.endswith("src/recipe/check.c"):
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


def check_exempt(names, *exempt):
    """Each exempt word is a name, once, so that none outlives what it is for."""
    words = [word for table in exempt for word in table]
    assert len(words) == len(set(words)) and set(words) <= set(names), set(words) - set(names) or words


def operators():
    names = rows("src/nn/ops.h", r"^    ROW\((\w+)\)")
    check_exempt(names, OPERATORS_OF_THE_FIELD)
    for name in names:
        if name in OPERATORS_OF_THE_FIELD:
            yield name, files_with(rf'\bop_{name}\b(?!\.[ch])|\bROW\({name}\)|\{{"{name}",')
        else:
            yield name, files_with(rf"(?i)(?<![a-z]){name}(?![a-z])")


def training_options():
    found = rows("src/recipe/options.c", r'^    \{"([a-z0-9-]+)", (?:RECIPE_\w+,\s+){2}IN_(?:RECIPE|DRAFT)\(([\w.]+)\)')
    names = [name for name, _ in found]
    assert names == rows("src/recipe/options.c", r'^    \{"([a-z0-9-]+)",\s+RECIPE_'), "a row is not read"
    check_exempt(names, OPTIONS_OF_THE_FIELD, OPTIONS_ELSEWHERE, OPTIONS_OF_EVERYBODY)
    for name, path in found:
        word, member = name.replace("-", "[-_]"), re.escape(path)
        counted = rf"\b(?:recipe|draft|d|r)(?:\.|->){member}\b|\bIN_(?:RECIPE|DRAFT)\({member}\)"
        if name in OPTIONS_OF_THE_FIELD:
            counted += rf'|"(?:--)?{word}"|(?<![\w-])--{name}(?![\w-])'
        elif name not in OPTIONS_ELSEWHERE:
            counted += rf"|(?<![\w-]){word}(?![\w-])|--{name}(?![\w-])"
        if name not in OPTIONS_OF_EVERYBODY:
            yield name, files_with(counted)


def daemon_options():
    app = {path: text for path, text in TEXTS.items() if path.startswith("src/app/")}
    for section, key in rows("src/app/options.c", r'^    (?!ROW\()[A-Z]+\(\s*(\w+),\s*(\w+),\s*"'):
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

if __name__ == "__main__":
    print(f"1..{len(KINDS)}")
    good = [check(i + 1, what, names()) for i, (what, names) in enumerate(KINDS)]
    raise SystemExit(0 if all(good) else 1)
