#!/usr/bin/env python3
"""The daemon and the processes that decode for it: what it says of them, and their options; tests/system/test_helpers.py ends
them. Prints TAP."""
import os, sys, zlib
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../api"))
from daemon import Daemon, leave_out_with_sanitizers, png, problem, run


def stat(pid):
    """-> (name, state, parent); OSError: it is gone"""
    with open(f"/proc/{pid}/stat") as f:
        line = f.read()
    name, rest = line[line.index("(") + 1:line.rindex(")")], line[line.rindex(")") + 2:].split()
    return name, rest[0], int(rest[1])


def children(parent):
    """-> {name: pid} of those that live"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, state, its_parent = stat(pid)
        except OSError:
            continue
        if its_parent == parent and state != "Z":
            found[name] = int(pid)
    return found


def zygote(d):
    return children(d.process.pid)["decode"]


def large():
    """A PNG that takes a good part of a second."""
    return png(claim=(5000, 5000), data=zlib.compress((b"\0" + bytes(15000)) * 5000, 1))


def posture():
    """log, metrics and ps say how images are decoded"""
    with Daemon(["engine.workers=2"]) as d:
        assert d.classify().status == 200
        line, = (l for l in d.text().splitlines() if "seccomp" in l)
        assert "2 helpers, and 2 in the background" in line, line
        info, = (k for k in d.metrics() if k.startswith("autodidact_sandbox_info"))
        assert 'seccomp="on"' in info, info
        assert d.metrics()["autodidact_decode_helpers"] == d.metrics()["autodidact_decode_helpers_started_total"] == 4
        assert set(children(zygote(d))) == {f"decode {n}" for n in (1, 2, 3, 4)}
        with open(f"/proc/{children(zygote(d))['decode 1']}/cmdline") as f:
            assert f.read().rstrip("\0") == "autodidactd: decode 1"
        assert d.metrics()['autodidact_decode_duration_seconds_count{format="png"}'] == 1
        assert d.metrics()['autodidact_decode_pixels_total{format="png"}'] == 1024
        assert d.metrics()['autodidact_decode_bytes_total{format="png"}'] == len(png())


def short_memory():
    """a limit of memory that the daemon was given stays with its helpers, and an image that does not fit fails alone"""
    leave_out_with_sanitizers()
    with Daemon(["engine.workers=2"], memory_max=450 << 20) as d:
        for pid in children(zygote(d)).values():
            with open(f"/proc/{pid}/limits") as f:
                soft, hard = next(l for l in f if l.startswith("Max address space")).split()[3:5]
            assert int(soft) <= int(hard) <= 450 << 20, (soft, hard)
        for _ in range(3):
            answer = d.classify(large())
            assert answer.status in (200, 422, 503), answer
            assert d.classify().status == 200
        assert d.metrics()["autodidact_decode_helpers"] == 4


def off():
    """decode.sandbox = off: no other process, and said so"""
    with Daemon(["decode.sandbox=off"]) as d:
        assert d.classify().status == 200
        assert children(d.process.pid) == {}
        assert d.metrics()['autodidact_sandbox_info{seccomp="off",landlock="off",memory_bytes="unlimited"}'] == 1
        assert "without a sandbox" in d.text()


def number():
    """decode.helpers"""
    with Daemon(["decode.helpers=3", "engine.workers=1"]) as d:
        assert len(children(zygote(d))) == 6


def timeout():
    """decode.timeout_ms ends a decode; the helper, which cannot be interrupted in a PNG, does not go on"""
    with Daemon(["engine.workers=1", "decode.timeout_ms=30"]) as d:
        problem(d.classify(large()), 503, "decode.timeout_ms")
        assert d.metrics()['autodidact_decode_helpers_lost_total{reason="timeout"}'] == 1


run([posture, short_memory, off, number, timeout])
