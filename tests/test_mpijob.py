"""etc/mpijob.yaml is an MPIJob that Kubernetes and the tool would take. mpijob_schema.json has of the API of the MPI operator
(v2beta1) and of Kubernetes' pods (v1) what members there are, which must be there and what they hold; pods have more members.
Prints TAP. Needs Debian's python3-yaml."""
import copy, json, os, re, subprocess, sys, traceback

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "..", "etc", "mpijob.yaml")
TOOL = os.path.join(os.environ.get("top_builddir", "."), "autodidact")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
SIMPLE = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: type(v) is int,
    "boolean": lambda v: isinstance(v, bool),
    "quantity": lambda v: type(v) is int or isinstance(v, str) and QUANTITY.fullmatch(v) is not None,
    "strings by name": lambda v: isinstance(v, dict) and all(isinstance(x, str) for x in v.values()),
    "quantities by name": lambda v: isinstance(v, dict) and all(SIMPLE["quantity"](x) for x in v.values()),
}
with open(os.path.join(HERE, "mpijob_schema.json")) as f:
    SCHEMA = json.load(f)


def faults(kind, value, place):
    """What is wrong with a value that is to be of a kind."""
    if kind in SIMPLE:
        return [] if SIMPLE[kind](value) else [f"{place}: {value!r} is no {kind}"]
    if not isinstance(value, dict):
        return [f"{place}: {value!r} is no object"]
    members = SCHEMA[kind]
    found = [f"{place}.{name}: missing" for name, rule in members.items() if rule.get("required") and name not in value]
    for name, v in value.items():
        at, rule = f"{place}.{name}", members.get(name)
        if rule is None:
            found.append(f"{at}: there is no such member")
        elif "one of" in rule:
            found += [] if any(v == x and type(v) is type(x) for x in rule["one of"]) else [f"{at}: {v!r} is none of {rule['one of']}"]
        elif "list of" in rule:
            found += [f"{at}: {v!r} is no list"] if not isinstance(v, list) else \
                [fault for i, x in enumerate(v) for fault in faults(rule["list of"], x, f"{at}[{i}]")]
        else:
            found += faults(rule["is"], v, at)
            if "least" in rule and type(v) is int and v < rule["least"]:
                found.append(f"{at}: {v} is less than {rule['least']}")
    return found


def pods(job):
    return [replica["template"]["spec"] for replica in job["spec"]["mpiReplicaSpecs"].values()]


def test_schema():
    """the example is as the schema says"""
    assert faults("MPIJob", JOB, "") == []


def test_schema_looks():
    """an example that is wrong in one place is not"""
    def change(*path, to=None):
        job = copy.deepcopy(JOB)
        at = job
        for name in path[:-1]:
            at = at[name]
        if to is None:
            del at[path[-1]]
        else:
            at[path[-1]] = to
        return job
    pod = ("spec", "mpiReplicaSpecs", "Worker", "template", "spec")
    for job in (change("apiVersion", to="kubeflow.org/v1"), change("spec", "mpiReplicaSpecs"), change("spec", "slotsPerWorker", to="2"),
                change("spec", "slotsPerWorker", to=0), change("spec", "mpiReplicaSpecs", "Launcher"),
                change("spec", "mpiReplicaSpecs", "Launcher", "replicas", to=2), change(*pod, "containers", 0, "command", to="sshd"),
                change("spec", "cleanPodPolicy", to="Running"), change(*pod, "volumes", 2, "emptyDir", "medium", to="memory"),
                change(*pod, "containers", 0, "volumeMounts", 0, "readOnly", to="yes"),
                change(*pod, "containers", 0, "resources", "requests", "memory", to="8 GB")):
        assert len(faults("MPIJob", job, "")) == 1, faults("MPIJob", job, "")


def test_sense():
    """mounted is what there is, and there are as many ranks as slots"""
    for pod in pods(JOB):
        volumes = {v["name"] for v in pod.get("volumes", [])}
        assert {m["name"] for c in pod["containers"] for m in c.get("volumeMounts", [])} == volumes, volumes
    command = pods(JOB)[0]["containers"][0]["command"]
    ranks = int(command[command.index("-np") + 1])
    assert ranks == JOB["spec"]["slotsPerWorker"] * JOB["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"], ranks


def test_options():
    """the tool has the options that it is given"""
    command = pods(JOB)[0]["containers"][0]["command"]
    words = command[command.index("train"):]
    known = subprocess.run([TOOL, "train", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for word in words:
        assert not word.startswith("--") or re.search(rf"^ +{word}\b", known, re.M), word


if __name__ == "__main__":
    try:
        import yaml
    except ImportError:
        print("1..0 # SKIP there is no python3-yaml")
        sys.exit(0)
    with open(EXAMPLE) as f:
        JOB = yaml.safe_load(f)
    tests = [test_schema, test_schema_looks, test_sense, test_options]
    print(f"1..{len(tests)}")
    failed = 0
    for i, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {i} - {test.__doc__}")
        except Exception:
            failed += 1
            print("".join("# " + l for l in traceback.format_exc().splitlines(True)))
            print(f"not ok {i} - {test.__doc__}")
    sys.exit(failed > 0)
