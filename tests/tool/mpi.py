"""Trainings of several ranks, by mpirun. Standard library only."""
import os, shutil, subprocess

from program import PROGRAM

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


def command(ranks, *args):
    return [MPIRUN, "-np", str(ranks), PROGRAM, "train", *args]


def train(ranks, *args, code=0):
    """-> stderr, with mpirun's own words."""
    p = subprocess.run(command(ranks, *args), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=240)
    assert p.returncode == code, f"exit code {p.returncode}, wanted {code}\n{p.stdout}\n{p.stderr}"
    return p.stderr


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
