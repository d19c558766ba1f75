#!/usr/bin/env python3
"""The examples of doc/sla.md, run as they stand there against the shipped model; those that are marked as timed depend on
how fast and how busy the machine was."""
import os, re, shutil, subprocess, sys
from daemon import SOURCE, Daemon, run

if not shutil.which("curl") or not shutil.which("bash"):
    print("1..0 # SKIP curl and bash are needed")
    sys.exit(0)
with open(os.path.join(SOURCE, "doc/sla.md")) as f:
    text = f.read()
function = re.search(r"^    \$ (ask\(\).*?\n      \})", text, re.M | re.S).group(1)
d = None


def rounded(answer):
    """Instruction sets differ in the last digits."""
    return re.sub(r"\b0\.\d{4,}", lambda m: f"{float(m.group()):.4f}", answer)


def example(rule, command, expected):
    def test():
        script = (function + "\n" + command).replace("127.0.0.1:8080", d.address)
        got = subprocess.run(["bash", "-c", script], cwd=SOURCE, capture_output=True, text=True).stdout.replace("\r", "")
        assert rounded(got) == rounded(expected), f"{command}\nanswered\n{got}"
    test.__doc__ = rule + ": " + command.partition("#")[0].splitlines()[0].rstrip("\\ ")
    return test


def examples():
    """Indented by four: a command behind "$ ", whose further lines are indented by ten, and what it answered."""
    for rule, section in re.findall(r"^## (Rule \d+).*?\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        found = re.findall(r"^    \$ (.*(?:\n {10}.*)*)\n((?:    (?!\$).*\n)*)", section, re.M)
        assert found, f"{rule} has no example"
        for command, expected in found:
            if "# timed" not in command:
                yield example(rule, command, re.sub(r"^    ", "", expected, flags=re.M))


with Daemon(model=os.path.join(SOURCE, "models/resnet18-cifar100.safetensors")) as d:
    run(list(examples()))
