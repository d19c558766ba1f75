"""Trainings of several ranks, by mpirun. Standard library only."""
import os, shutil, subprocess, time

from program import PROGRAM
from trainings import position

MPIRUN = shutil.which("mpirun")
VERSION = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, text=True).stdout


def missing():
    """Why there are no ranks here, or None."""
    if "; mpi no;" in VERSION:
        return "built without MPI"
    if MPIRUN is None:
        return "there is no mpirun (openmpi-bin)"
    return None


def environment():
    """mpirun's own options by its variables: as root, as many ranks as asked for, and no processors of their own."""
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
                OMPI_MCA_hwloc_base_binding_policy="none", OMPI_MCA_btl_base_warn_component_unused="0")


def command(ranks, *args, mpirun=()):
    return [MPIRUN, *mpirun, "-np", str(ranks), PROGRAM, "train", *args]


def start(ranks, *args, mpirun=()):
    """The process of mpirun, whose stderr has its own words, too."""
    return subprocess.Popen(command(ranks, *args, mpirun=mpirun), env=environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def train(ranks, *args, mpirun=(), code=0):
    """-> stderr"""
    p = start(ranks, *args, mpirun=mpirun)
    err = p.communicate(timeout=240)[1]
    assert p.returncode == code, f"exit code {p.returncode}, wanted {code}\n{err}"
    return err


def wait_for_step(child, out, step):
    """Until a training's checkpoint stands there."""
    while position(out + ".ckpt") < step:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.002)


def ranks_of(out):
    """-> {rank: process} of a training that writes out"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as f:
                environ = dict(v.split(b"=", 1) for v in f.read().split(b"\0") if b"=" in v)
        except OSError:
            continue
        if words[1:2] == [b"train"] and out.encode() in words and b"OMPI_COMM_WORLD_RANK" in environ:
            found[int(environ[b"OMPI_COMM_WORLD_RANK"])] = int(pid)
    return found
