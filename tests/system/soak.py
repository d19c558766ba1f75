#!/usr/bin/env python3
"""100,000 requests by wrk (32 connections, mixed classifiers, 120 images): no error, no lost reply, flat memory; with
--retrain a training job that ends in a hot swap runs under the load.

  soak.py BUILD_DIR MODEL.safetensors CIFAR100_DIR [--replies N] [--retrain]

Needs wrk (Debian package wrk). Exit status 0 when everything holds.
"""
import argparse, http.client, json, os, re, signal, socket, subprocess, sys, tempfile, threading, time
from daemon import Daemon, cifar100

CONNECTIONS = 32
GROWTH_KB = 2048


class Admin(http.client.HTTPConnection):
    """HTTP over the admin UNIX socket."""
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        r = self.getresponse()
        return r.status, json.loads(r.read())


def load(daemon, images, replies):
    """-> (replies seen, trouble counted by wrk)"""
    run = subprocess.Popen(
        ["wrk", "-t1", f"-c{CONNECTIONS}", "-d3600s", "--timeout", "30s", "-s",
         os.path.join(os.path.dirname(os.path.abspath(__file__)), "soak.lua"),
         "http://%s:%d/" % daemon.address],
        env={**os.environ, "SOAK_IMAGES": images, "SOAK_REPLIES": str(replies)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = ""
    for line in run.stderr:
        text += line
        if line.startswith("soak replies="):  # its thread has stopped; wrk itself sleeps on until it is told
            run.send_signal(signal.SIGINT)
    text += run.communicate()[0]
    line = re.search(r"soak requests=.*", text)
    counted = re.search(r"soak replies=(\d+) bad=(\d+)", text)
    if not line or not counted:
        print(text)
        raise SystemExit("wrk did not finish")
    print("  " + line.group(0)[5:])
    trouble = sum(int(re.search(k + r"=(\d+)", line.group(0)).group(1))
                  for k in ("connect", "read", "write", "status", "timeout"))
    return int(counted.group(1)), trouble + int(counted.group(2))


def answered(daemon):
    return sum(v for k, v in daemon.metrics().items() if k.startswith("autodidact_requests_total{"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build"), p.add_argument("model"), p.add_argument("data")
    p.add_argument("--replies", type=int, default=100000)
    p.add_argument("--retrain", action="store_true")
    args = p.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        for i, (_, data) in enumerate(cifar100(args.data, "test")[:120]):
            with open(os.path.join(folder, f"{i:03}.png"), "wb") as f:
                f.write(data)
        daemon = Daemon(os.path.join(args.build, "autodidactd"), args.model,
                        settings=[f"train.data_root={args.data}", "log.level=warning"]
                        + (["train.margin=1"] if args.retrain else []))
        job = None
        if args.retrain:
            admin = Admin(os.path.join(daemon.state, "admin.sock"))
            status, job = admin.call("POST", "/admin/v1/jobs", {
                "kind": "train", "spec": "resnet18", "data": "cifar100:" + args.data, "method": "byot",
                "epochs": 1, "width": 4, "promote": "auto"})
            print("job:", status, job.get("id"), job.get("state", job))
            if status != 202:
                daemon.stop()
                sys.exit("problems: the job was refused")
        before = answered(daemon)
        seen, trouble = load(daemon, folder, args.replies // 10)
        early = daemon.resident_kb()
        rounds = 0
        while True:  # with --retrain: as long as the job runs, and then the rest
            more, bad = load(daemon, folder, args.replies - args.replies // 10)
            seen, trouble, rounds = seen + more, trouble + bad, rounds + 1
            late = daemon.resident_kb()
            if not job or admin.call("GET", f"/admin/v1/jobs/{job['id']}")[1]["state"] not in (
                    "queued", "running", "evaluating"):
                break
        in_daemon = answered(daemon) - before
        print(f"replies {seen}, of them bad or lost {trouble}; the daemon counted {in_daemon:.0f}")
        print(f"resident memory: {early} kB after {args.replies // 10}, {late} kB after {seen} ({late - early:+} kB)")
        # wrk hangs up when it has enough replies, with up to one request a connection under way.
        if trouble:
            problems.append(f"{trouble} bad or lost replies")
        if not 0 <= in_daemon - seen <= CONNECTIONS * (rounds + 1):
            problems.append("the daemon's count differs from wrk's")
        if job:
            job = admin.call("GET", f"/admin/v1/jobs/{job['id']}")[1]
            versions = {k for k in daemon.metrics() if k.startswith("autodidact_model_info{")}
            print("job ended:", job["state"], "| serving:", *versions)
            if job["state"] != "succeeded":
                problems.append("the job was not promoted")
        elif late - early > GROWTH_KB:
            problems.append(f"memory grew by {late - early} kB")
        code = daemon.stop()
        if code:
            problems.append(f"the daemon's exit status was {code}")
    print("problems: " + "; ".join(problems) if problems else "all good")
    return 1 if problems else 0


sys.exit(main())
