"""Style: every source is as clang-format makes it, and keeps the rules that clang-format does not know. Prints TAP.

Rules: 100 columns; at most 800 lines a file; sizeof(x), never sizeof x; a pointer is compared with NULL, never taken
for a truth value. Which names are pointers is read off the declarations of a file and of the project's structs, so the
last rule sees what is plainly declared.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.realpath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
COLUMNS_MAX, LINES_MAX = 100, 800
WORDS_NO_TYPE = {"return", "sizeof", "case", "else", "goto", "typedef"}


def sources(pattern):
    found = []
    for top in ("src", "include", "tests", "bench"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            found += [os.path.join(folder, n) for n in sorted(names) if re.search(pattern, n)]
    return found


def bare(text):
    """The text without comments and literals, line by line as it was."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.DOTALL)


def pointers(text):
    """-> names that a file declares as pointers and never as anything else"""
    declared = {}
    for m in re.finditer(r"\b([a-z_]\w*)((?:\s*\*\s*(?:const\s+|restrict\s+)*)|\s+)([a-z_]\w*)\s*(?=[,;=)\[{(])", text):
        kind, stars, name = m.groups()
        if kind not in WORDS_NO_TYPE:
            declared.setdefault(name, set()).add("*" in stars)
    for m in re.finditer(r"\b(?:bool|int|unsigned|size_t|u?int\d+_t|double|float)\b([^;(){}]*);", text):
        for stars, name in re.findall(r"(\**)\s*([a-z_]\w*)\s*(?=$|,|=|\[)", m.group(1)):
            declared.setdefault(name, set()).add("*" in stars)
    return {name for name, kinds in declared.items() if kinds == {True}}


def truth_values(text, names):
    """-> offsets at which a pointer stands for a truth value"""
    places = []
    for m in re.finditer(r"!\s*(?:\w+\s*(?:->|\.)\s*)*([a-z_]\w*)(?!\w|\s*(?:->|\.|\[|\())|"
                         r"(?:\bif|\bwhile)\s*\(\s*(?:\w+\s*(?:->|\.)\s*)*([a-z_]\w*)\s*(?:\)|&&|\|\|)", text):
        if (m.group(1) or m.group(2)) in names:
            places.append(m.start())
    return places


def judge_rules(path, text):
    where, problems = os.path.relpath(path, ROOT), []
    lines = text.split("\n")
    if len(lines) > LINES_MAX:
        problems.append(f"{where}: {len(lines)} lines, at most {LINES_MAX}")
    if not path.endswith((".c", ".h")):
        return problems
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            problems.append(f"{where}:{number}: {len(line)} columns, at most {COLUMNS_MAX}")
    code = bare(text)

    def at(offset):
        return f"{where}:{code.count(chr(10), 0, offset) + 1}"
    for m in re.finditer(r"\bsizeof\b(?!\()", code):
        problems.append(f"{at(m.start())}: sizeof takes parentheses")
    for offset in truth_values(code, pointers(code)):
        problems.append(f"{at(offset)}: compare a pointer with NULL")
    return problems


def unformatted(paths):
    """-> complaints of clang-format; None where it is missing"""
    tool = shutil.which("clang-format-14")
    if tool is None:
        return None
    done = subprocess.run([tool, "--style=file", "--dry-run", *paths], cwd=ROOT, text=True, stderr=subprocess.PIPE)
    found = re.findall(r"^(\S+?:\d+):\d+: \w+: code should be clang-formatted", done.stderr, re.MULTILINE)
    if done.returncode != 0 and not found:
        return [done.stderr.strip()]
    return [f"{os.path.relpath(p, ROOT)}: not as clang-format makes it" for p in sorted(set(found))]


def main():
    code, scripts = sources(r"\.[ch]$"), sources(r"\.py$")
    problems, failed = [], 0
    for path in code + scripts:
        with open(path, encoding="utf-8") as f:
            problems += judge_rules(path, f.read())
    print("1..2")
    for p in problems:
        print("#", p)
    failed += bool(problems or not code)
    print("not ok" if problems or not code else "ok", f"1 - rules of {len(code) + len(scripts)} files")
    complaints = unformatted(code)
    for p in complaints or []:
        print("#", p)
    failed += bool(complaints)
    print("ok 2 - formatted # SKIP clang-format is not installed" if complaints is None else
          "not ok 2 - formatted" if complaints else "ok 2 - formatted")
    return 1 if failed else 0


sys.exit(main())
