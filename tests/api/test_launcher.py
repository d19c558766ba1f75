"""Trainings that a launcher starts (train.launcher): the real daemon, the real trainer, mpirun. Prints TAP."""
import json, os, signal, sys, tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tool")]
import mpi
from daemon import SOURCE, Daemon, Skip, once, run, until
from program import metadata
from tiny_cifar import write_set
from trainings import position

FOLDER = tempfile.TemporaryDirectory(prefix="launcher-")
write_set(os.path.join(FOLDER.name, "set"))


def daemon(launcher):
    settings = {"train.data_root": FOLDER.name, "model.specs": os.path.join(SOURCE, "models"), "train.launcher": launcher,
                "train.threads": "1", "engine.workers": "1", "engine.algorithms": "rule"}
    return Daemon(settings, model=None, environment=mpi.environment() if mpi.MPIRUN else {}, wait=False)


def create(d, **members):
    body = {"kind": "train", "spec": "resnet18", "model": "m", "data": "cifar100:set", "method": "baseline", "width": 4,
            "epochs": 2, "batch": 20, "warmup": 0, "lr": 0.02, "holdout": 200, **members}
    answer = once(d.admin, "POST", "/admin/v1/jobs", json.dumps(body).encode(), [("Content-Type", "application/json")])
    assert answer.status == 202, answer
    return answer.json["id"]


def job(d, number):
    return once(d.admin, "GET", f"/admin/v1/jobs/{number}").json


def over(d, number):
    until(lambda: job(d, number)["state"] not in ("queued", "running", "evaluating"), f"job {number} is over", 120)
    return job(d, number)


def result(d, number):
    return os.path.join(d.state, "jobs", str(number), "result.safetensors")


def training(d, version):
    path = os.path.join(d.state, "models", "m", str(version), "model.safetensors")
    return json.loads(metadata(path)["autodidact.training"])


def cwd(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_wrapper():
    """a plain wrapper, found in PATH"""
    with daemon("nice -n 5") as d:
        d.wait_listening()
        number = create(d, epochs=200)
        until(lambda: "progress" in job(d, number), "it trains")
        pids = [p for p in filter(str.isdigit, os.listdir("/proc")) if cwd(p) == os.path.dirname(result(d, number))]
        assert [os.getpriority(os.PRIO_PROCESS, int(p)) for p in pids] == [max(15, os.nice(0) + 15)], pids
        assert once(d.admin, "POST", f"/admin/v1/jobs/{number}/cancel").status == 202
        assert over(d, number)["state"] == "cancelled"
        number = create(d, epochs=1)
        assert over(d, number)["state"] == "succeeded", job(d, number)


def test_ranks():
    """mpirun -np 2: a rank that is killed is tried again from the checkpoint, each epoch is told once, cancelling ends all"""
    if mpi.missing():
        raise Skip(mpi.missing())
    with daemon("mpirun -np 2") as d:
        d.wait_listening()
        number = create(d, epochs=6)
        until(lambda: position(result(d, number) + ".ckpt") >= 50, "an epoch is over")
        os.kill(mpi.ranks_of(result(d, number))[1], signal.SIGKILL)
        done = over(d, number)
        assert done["state"] == "succeeded" and done["attempts"] == 2, done
        assert [e["epoch"] for e in done["epochs"]] == [1, 2, 3, 4, 5, 6], done["epochs"]
        assert "was killed by signal 9; trying again" in d.text(), d.text()
        assert training(d, 1)["ranks"] == 2, training(d, 1)

        number = create(d, batch=21)
        done = over(d, number)
        assert done["state"] == "failed" and done["reason"].startswith(
            "the training ended with exit code 1: autodidact train: --batch 21: 2 ranks with"), done

        number = create(d, epochs=200)
        until(lambda: "progress" in job(d, number), "it trains")
        assert sorted(mpi.ranks_of(result(d, number))) == [0, 1]
        assert once(d.admin, "POST", f"/admin/v1/jobs/{number}/cancel").status == 202
        assert over(d, number)["state"] == "cancelled"
        assert not mpi.ranks_of(result(d, number))

        number = create(d, epochs=200)
        until(lambda: "progress" in job(d, number), "it trains")
    until(lambda: not mpi.ranks_of(result(d, number)), "the ranks have gone with the daemon")


if __name__ == "__main__":
    run([test_wrapper, test_ranks])
