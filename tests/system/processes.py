"""What Linux says of a process and of all that it started: who they are, and how much memory they take."""
import os


def status(pid):
    """-> {name: value} of /proc/PID/status. OSError: there is no such process."""
    with open(f"/proc/{pid}/status") as f:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in f)}


def family(pid):
    """-> process ids of a process and of its descendants, itself first, parents before children"""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(name)] = int(status(name)["PPid"])
        except (OSError, KeyError):
            pass  # it has ended
    found = [pid]
    for one in found:
        found += sorted(child for child, parent in parents.items() if parent == one)
    return found


def processor_s(pid):
    """Seconds of processors that a family has had, without what has ended and not been waited for."""
    total = 0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/stat") as f:
                fields = f.read().rsplit(") ", 1)[1].split()
            total += sum(map(int, fields[11:15]))
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def machine_s():
    """Seconds of processors that all processes and the kernel have had."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def proportional_kb(pid):
    """Resident memory of a family, where a page that several have counts once (PSS). Of a process that may not be looked
    into, one in the sandbox, all but its program: the memory that it shares with the daemon twice, then."""
    total = 0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except PermissionError:
            total += sum(int(status(one)[name].split()[0]) for name in ("RssAnon", "RssShmem"))
        except (OSError, KeyError):
            pass
    return total


def peaks(pid):
    """-> of each of a family its name, number and the most memory that was resident since forget_peaks()"""
    found = []
    for one in family(pid):
        try:
            s = status(one)
            found.append({"name": s["Name"], "pid": one, "peak_kb": int(s["VmHWM"].split()[0])})
        except (OSError, KeyError):
            pass
    return found


def forget_peaks(pid):
    for one in family(pid):
        try:
            with open(f"/proc/{one}/clear_refs", "w") as f:
                f.write("5")
        except OSError:
            pass
