#!/usr/bin/env python3
"""The daemon and what it reads and keeps: files that never end or that change, disks that are full. Prints TAP."""
import os, socket, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../api"))
from daemon import BUILD, Daemon, make_model, once, run, until

TOOL = os.path.join(BUILD, "autodidact")


def odd_files(folder):
    """-> {path of what is no regular file: a word of the message}"""
    fifo, sock = os.path.join(folder, "fifo"), os.path.join(folder, "socket")
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(sock)
    return {"/dev/zero": "a device", fifo: "a FIFO", sock: "a socket", folder: "directory"}


def ends(process, seconds=60):
    """Its exit code and what it said; it must end by itself."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{process.args} does not end")
    return process.returncode, (out or "") + (err or "")


def odd_models():
    """model.file that is a device, a FIFO, a socket or a directory: exit 1, one line that names it"""
    with tempfile.TemporaryDirectory() as folder:
        for path, word in odd_files(folder).items():
            d = Daemon(model=path, wait=False)
            code, text = d.process.wait(60), d.text()
            lines = [l for l in text.splitlines() if "error" in l or l.startswith("autodidactd:")]
            assert code == 1 and len(lines) == 1 and path in lines[0] and word in lines[0], (code, text)


def odd_files_of_the_tool():
    """the tool says of such files what they are, whatever they were meant to be"""
    spec = os.path.join(os.environ.get("top_srcdir", "."), "models/resnet18.json")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.safetensors")
        for path, word in odd_files(folder).items():
            if path == folder:
                continue
            for words in (["describe", path], ["eval", path, "--data", "cifar10:" + folder, "--split", "test"], ["import", path, "--spec", spec, "--out", out],
                          ["import", make_model(), "--spec", spec, "--labels", path, "--out", out],
                          ["classify", path, "--url", "http://127.0.0.1:9"]):
                code, text = ends(subprocess.Popen([TOOL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                   text=True))
                assert code in (1, 2) and path in text and word in text, (words, code, text)
        for name in ("data_batch_1.bin", "batches.meta.txt"):
            os.mkfifo(os.path.join(folder, name))
        code, text = ends(subprocess.Popen([TOOL, "train", spec, "--data", "cifar10:" + folder, "--method", "dsn", "--epochs", "1", "--out", out],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        assert code == 1 and folder in text and "a FIFO" in text, text


def large_model():
    """a model file above model.bytes_max is refused before it is read"""
    d = Daemon(["model.bytes_max=4K"], wait=False)
    assert d.process.wait(60) == 1 and "4096 bytes" in d.text(), d.text()


def stuck_read():
    """a stop ends what a thread waits for: the model file is never read to its end"""
    model = make_model()
    preload = os.path.join(BUILD, "tests/app/stuck_read.so")
    with tempfile.TemporaryDirectory() as folder:
        d = Daemon(["drain.timeout_ms=100"], model=model, state=os.path.join(folder, "state"), wait=False,
                   environment=[("LD_PRELOAD", preload), ("STUCK_READ", model), ("ASAN_OPTIONS", "verify_asan_link_order=0")])
        d.wait_listening()
        assert once(d.address, "GET", "/v2/health/live").status == 200
        assert d.stop() == 1
        assert "stopping hard" in d.text(), d.text()
        assert not any(l.endswith("stopped") for l in d.text().splitlines()), d.text()


def changing_model():
    """model.file that is cut short and written again while it is imported: an error or a model, never a crash"""
    good = open(make_model(width=64), "rb").read()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        over = threading.Event()

        def change():
            while not over.is_set():
                with open(path, "wb") as f:  # as `cp` does
                    f.write(good)
                time.sleep(0.002)
                os.truncate(path, len(good) // 2)
                time.sleep(0.002)
        writer = threading.Thread(target=change)
        writer.start()
        try:
            until(lambda: os.path.exists(path), "the model is written")
            for _ in range(8):
                d = Daemon(model=path, wait=False)
                until(lambda: d.process.poll() is not None or (d.addresses() and "ready" in d.text()), "the import is over", 60)
                code = d.stop()
                assert code in (0, 1), (code, d.text())
        finally:
            over.set()
            writer.join()


run([odd_models, odd_files_of_the_tool, large_model, stuck_read, changing_model])
