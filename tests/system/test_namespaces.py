"""Two ranks on two machines, which are network namespaces with a wire between them: the same bytes as on one machine, and what a
rank that dies leaves. Prints TAP. Standard library only; util-linux and iproute2."""
import os, shutil, signal, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "tool"))
import mpi
import trainings
from program import REFERENCE, digest, run
from trainings import position

HERE_ADDRESS, THERE_ADDRESS, NET = "10.77.0.1", "10.77.0.2", "10.77.0.0/24"
INSIDE = "AUTODIDACT_TEST_NAMESPACES"
# A machine of its own: network, name, and root in it for whoever we are; without users' namespaces only for root.
MACHINES = (["unshare", "--user", "--map-root-user", "--net", "--uts"], ["unshare", "--net", "--uts"])
WIRE = ["ip", "link", "add", "wire", "type", "veth", "peer", "name", "there"]


def enter():
    """Starts this program again inside of a new machine; -> why that cannot be."""
    if mpi.missing():
        return mpi.missing()
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "there is no ip (iproute2) or unshare (util-linux)"
    for machine in MACHINES:
        if subprocess.run([*machine, *WIRE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(machine[0], [*machine, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    return "network namespaces cannot be made here"


class There:
    """The other machine: a process that holds it, and a script that starts programs on it in the place of ssh."""

    def __init__(self, folder):
        self.holder = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", "hostname there && echo && exec sleep 1000"],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.agent = os.path.join(folder, "agent")
        with open(self.agent, "w") as f:
            f.write(f'#!/bin/sh\n# HOST WORD...\nshift\nexec nsenter --target {self.holder.pid} --net --uts sh -c "$*"\n')
        os.chmod(self.agent, 0o700)
        subprocess.run(["hostname", "here"], check=True)
        for words in (WIRE, ["ip", "link", "set", "there", "netns", str(self.holder.pid)], *self.up([], "wire", HERE_ADDRESS),
                      *self.up(["nsenter", "--target", str(self.holder.pid), "--net"], "there", THERE_ADDRESS)):
            subprocess.run(words, check=True)

    @staticmethod
    def up(machine, device, address):
        return ([*machine, "ip", "address", "add", address + "/24", "dev", device], [*machine, "ip", "link", "set", device, "up"],
                [*machine, "ip", "link", "set", "lo", "up"])

    def mpirun(self):
        """Its options for a rank on each machine, which speak over the wire alone."""
        return ["--host", f"{HERE_ADDRESS}:1,{THERE_ADDRESS}:1", "--mca", "plm_rsh_agent", self.agent, "--mca", "btl", "tcp,self",
                "--mca", "btl_tcp_if_include", NET, "--mca", "oob_tcp_if_include", NET]


def sent():
    """Bytes that went into the wire here."""
    with open("/proc/net/dev") as f:  # /sys is that of the machine outside
        return next(int(line.split()[9]) for line in f if line.split()[0] == "wire:")


def namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def test_two_machines(p):
    """A rank on each of two machines ends in the bytes of two on one, also when one was killed on the way."""
    more = {"method": "baseline", "sync_bn": "on", "epochs": 2, "threads": 1, "algorithm": "rule", "checkpoint_steps": 7}
    one, two = p.path("one.safetensors"), p.path("two.safetensors")
    mpi.train(2, *p.options(one, **more))
    there = There(p.folder)
    try:
        child = mpi.start(2, *p.options(two, **more), mpirun=there.mpirun())
        mpi.wait_for_step(child, two, 14)
        ranks = mpi.ranks_of(two)
        assert namespace(ranks[0]) == namespace("self") and namespace(ranks[1]) == namespace(there.holder.pid), ranks
        os.kill(ranks[1], signal.SIGKILL)
        err = child.communicate(timeout=60)[1]
        assert child.returncode == 128 + signal.SIGKILL and "signal 9" in err, (child.returncode, err)
        assert f"go on from the last checkpoint, {two}.ckpt, by the same command with --resume" in err, err
        assert not mpi.ranks_of(two) and not os.path.exists(two) and position(two + ".ckpt") >= 14
        before = sent()
        mpi.train(2, *p.options(two, **more), "--resume", mpirun=there.mpirun())
        assert sent() - before > 10 ** 7, sent() - before
        assert digest(two) == digest(one)
    finally:
        there.holder.kill()
        there.holder.wait()


if __name__ == "__main__":
    why = "" if INSIDE in os.environ else "several trainings take many minutes with the reference kernels" if REFERENCE else enter()
    if why:
        print(f"1..0 # SKIP {why}")
        sys.exit(0)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.exit(trainings.main(globals()))
