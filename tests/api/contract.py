"""Every answer that a test of the daemon gets is one that the table of routes lists."""
import os, re, subprocess
import wire


def read_table():
    """-> {(listener, method): [(pattern as a regular expression, {status: {media}})]}"""
    lines = subprocess.run([os.path.join(wire.BUILD, "tests/api/print_routes"), "--lines"], check=True,
                           stdout=subprocess.PIPE).stdout.decode().splitlines()
    rows = {}
    for line in lines:
        listener, method, pattern, status, media = line.split(" ")
        answers = rows.setdefault((listener, method, pattern), {})
        answers.setdefault(int(status), set()).add(media)
    table = {}
    for (listener, method, pattern), answers in rows.items():
        expression = re.compile(re.sub(r"\{[a-z]+\}", "[^/]+", pattern) + "/?$")
        table.setdefault((listener, method), []).append((expression, answers))
    return table


TABLE = read_table()
UNKNOWN = {400, 401, 404, 405}  # where no route is
LISTENERS = {}  # address: http or admin


def check(listener, method, target, answer):
    path = re.sub("^https?://[^/?]*", "", target, flags=re.IGNORECASE).split("?")[0] or "/"
    for expression, answers in TABLE.get((listener, "GET" if method == "HEAD" else method), []):
        if expression.match(path):
            assert answer.status in answers, f"{method} {path} answers {answer.status}; its row has {sorted(answers)}"
            media = (answer.header("Content-Type") or "").split(";")[0]
            assert not answer.body or media in answers[answer.status], f"{method} {path}: {answer.status} as {media}"
            return
    assert answer.status in UNKNOWN, f"{method} {path} is no route and answers {answer.status}"


def listen(addresses):
    """From now on the answers of a daemon are checked. addresses: what its listen.json says."""
    LISTENERS.update({address: listener for listener, address in addresses.items()})
    wire.Wire.watch = staticmethod(lambda address, *rest: check(LISTENERS[address], *rest))
