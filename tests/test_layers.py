"""Layers and file sizes: src/LAYERS is the law, this test enforces it. Prints TAP.

A file of src/X or include/X may include headers of X and of the layers listed after X; a library header that
LAYERS binds to layers may be included there only; include/Y/z.h exists only for layers; no source passes 800 lines.
"""
import os, re, sys

root = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
LINES_MAX = 800


def read_layers(path):
    """-> ({layer: set of layers it may include}, {library header: set of layers})"""
    allowed, library = {}, {}
    with open(path) as f:
        for line in f:
            if line.startswith("<"):
                for names, layers in re.findall(r"((?:<[^>]+>\s*)+):\s*([a-z ]+)", line):
                    for h in re.findall(r"<([^>]+)>", names):
                        library.setdefault(h, set()).update(layers.split())
                continue
            m = re.match(r"([a-z]+):\s+(.*)", line)
            if not m:
                continue
            deps, words = set(), m.group(2)
            # The list of layers ends where two blanks or the description begin.
            for w in words.split("  ")[0].split():
                deps.add(w)
            allowed[m.group(1)] = deps
    names = set(allowed)
    for layer, deps in allowed.items():
        allowed[layer] = (names if "all" in deps else deps & names) | {layer}
    return allowed, library


def main():
    allowed, library = read_layers(os.path.join(root, "src", "LAYERS"))
    # The sources say <stb/stb_image.h> where LAYERS says <stb_image.h>: the last part decides.
    library = {os.path.basename(k) if "/" not in k or k.startswith("stb") else k: v for k, v in library.items()}
    problems, files = [], 0
    for top in ("src", "include", "tests"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if not re.search(r"\.(c|h|py)$", name):
                    continue
                path = os.path.join(folder, name)
                rel = os.path.relpath(path, root)
                with open(path, encoding="utf-8") as f:
                    lines = f.read().split("\n")
                files += 1
                if len(lines) > LINES_MAX:
                    problems.append(f"{rel}: {len(lines)} lines, at most {LINES_MAX}")
                layer = rel.split(os.sep)[1] if rel.count(os.sep) >= 2 else None
                if layer not in allowed or name.endswith(".py"):
                    continue
                for number, line in enumerate(lines, 1):
                    m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
                    if not m:
                        continue
                    kind, header = m.groups()
                    where = f"{rel}:{number}"
                    if kind == '"':
                        target = header.split("/")[0] if "/" in header else None
                        if target is not None and target in allowed and target not in allowed[layer]:
                            problems.append(f"{where}: {layer} may not include {header}")
                        if target is not None and target not in allowed and not os.path.exists(
                                os.path.join(folder, header)):
                            problems.append(f"{where}: {header} is of no layer")
                    elif top != "tests":
                        for bound, layers in library.items():
                            if (header == bound or os.path.basename(header) == bound) and layer not in layers:
                                problems.append(f"{where}: <{header}> is for {' '.join(sorted(layers))} only")
    for p in problems:
        print("#", p)
    print("1..1")
    print(("not ok" if problems or files == 0 else "ok"), f"1 - layers and sizes of {files} files")
    return 1 if problems else 0


sys.exit(main())
