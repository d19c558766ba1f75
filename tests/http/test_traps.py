#!/usr/bin/env python3
"""The traps of libmicrohttpd 0.9.75 in an external loop, each reproduced before its remedy was written."""
import atexit, os, signal, socket, subprocess, threading, time
from wire import BUILD, Closed, Wire, once, problem, run, until


class Server:
    def __init__(self, header_ms=5000, body_ms=5000, idle_ms=5000, connections=200, listen="127.0.0.1:0", token=None):
        command = [os.path.join(BUILD, "tests/http/trap_server")]
        command += [str(v) for v in (header_ms, body_ms, idle_ms, connections)] + [listen] + ([token] if token else [])
        self.terminated = False
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        atexit.register(lambda: self.process.poll() is None and self.process.kill())
        self.address = self.process.stdout.readline().decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.stop()

    def terminate(self):
        self.terminated = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        # Once: a second SIGTERM could come when its handler is gone again, on the way out.
        if not self.terminated and self.process.poll() is None:
            self.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        assert code == 0, f"the server ended with {code}"

    def stats(self):
        return once(self.address, "GET", "/stats").json


def burst(address, path, clients, requests, body=None):
    """Many clients at a time; returns how many answers came."""
    counts, method = [0] * clients, "GET" if body is None else "POST"

    def client(i):
        with Wire(address) as w:
            for _ in range(requests):
                counts[i] += w.ask(method, path, body).status == 200

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return sum(counts)


def lost_wake_up():
    """F2.1 resumed from another thread: no request is lost"""
    with Server() as s:
        assert burst(s.address, "/far", 16, 150) == 16 * 150
        assert burst(s.address, "/far", 8, 60, b"x" * 20000) == 8 * 60


def zero_timeout():
    """F2.2 bodies larger than any buffer arrive whole, with and without pauses"""
    with Server() as s:
        for size in (1, 1000, 50000, 65535, 65536, 65537, 200000, 2 << 20, 8 << 20):
            body = os.urandom(1000) * (size // 1000 + 1)
            answer = once(s.address, "POST", "/echo", body[:size])
            assert answer.body.split()[0] == str(size).encode(), answer
        with Wire(s.address) as w:
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
            for _ in range(30):
                w.send(b"y" * 10000)
                time.sleep(0.002)
            assert w.answer().body.startswith(b"300000 ")
        with Wire(s.address) as w:
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(40):
                w.send(b"1000\r\n" + b"z" * 4096 + b"\r\n")
            w.send("0\r\n\r\n")
            assert w.answer().body.startswith(b"163840 ")
            assert w.ask("GET", "/fast").status == 200


def big_answers():
    """a 16 MB answer arrives whole, also to a reader that pauses"""
    with Server(idle_ms=60000) as s, Wire(s.address) as w:
        w.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        assert len(w.answer().body) == 4096 * 4096
        assert w.ask("GET", "/fast").status == 200


def slow_headers():
    """F2.3 headers that drip are ended by their own deadline with 408"""
    with Server(header_ms=400) as s, Wire(s.address) as w:
        w.send("GET /fast HTTP/1.1\r\nHost: a\r\n")
        start = time.monotonic()
        try:
            while time.monotonic() - start < 10:
                w.send("X: y\r\n")
                time.sleep(0.05)
            raise AssertionError("the connection stayed open")
        except (BrokenPipeError, ConnectionResetError):
            pass


def slow_headers_answer():
    """F2.3 the answer to slow headers is a problem document"""
    with Server(header_ms=1000) as s, Wire(s.address) as w:
        w.send("GET /fast HTTP/1.1\r\nHost: a\r\n")
        answer = w.answer()
        problem(answer, 408, "headers")
        assert answer.header("Connection") == "close" and w.closed()


def slow_request_line():
    """F2.3 a connection that never sends a request line is closed"""
    with Server(header_ms=300) as s:
        with Wire(s.address) as silent, Wire(s.address) as half:
            half.send("GET /fa")
            assert silent.closed() and half.closed()


def slow_body():
    """F2.3 a body that drips is ended by its own deadline with 408, activity or not"""
    with Server(body_ms=400) as s, Wire(s.address) as w:
        w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        start, answer = time.monotonic(), None
        while answer is None and time.monotonic() - start < 10:
            w.send(b"a")
            time.sleep(0.02)
            if not w.quiet(0):
                answer = w.answer()
        problem(answer, 408, "body")
        assert w.closed()
        assert s.stats()["exchanges"] == 1  # the one that asks


def slow_second_request():
    """F2.3 deadlines begin anew with each request of a connection"""
    with Server(header_ms=2000, body_ms=2000, idle_ms=10000) as s, Wire(s.address) as w:
        for _ in range(4):
            assert w.ask("GET", "/fast").status == 200
            time.sleep(0.25)
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n")
            time.sleep(0.25)
            w.send("\r\nab")
            time.sleep(0.25)
            w.send("c")
            assert w.answer().body.startswith(b"3 ")
        w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        problem(w.answer(), 408, "body")


def idle_connection():
    """F2.3 an idle connection is closed after its time, without an answer"""
    with Server(idle_ms=300) as s, Wire(s.address) as w:
        assert w.ask("GET", "/fast").status == 200
        assert w.closed()


def slow_reader():
    """F2.3 a client that does not take its answer is hung up on"""
    with Server(idle_ms=400) as s:
        w = Wire(s.address)
        w.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        w.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: s.stats()["exchanges"] == 1, "the answer is given up")
        w.close()


def deferred_is_not_timed_out():
    """a request that is worked on outlives every connection deadline"""
    with Server(header_ms=200, body_ms=200, idle_ms=200) as s:
        assert once(s.address, "GET", "/slow?ms=1200").body == b"slow\n"


def hang_up():
    """F2.4 the end of a suspended connection is seen: FIN, RST, and not a pipelined request"""
    with Server() as s:
        for end in (Wire.close, Wire.reset):
            before, w = s.stats(), Wire(s.address)
            w.send("GET /slow?ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: s.stats()["slow"] == before["slow"] + 1, "the request is there")
            end(w)
            until(lambda: s.stats()["gone"] == before["gone"] + 1, "the hang-up is seen", 2)
        with Wire(s.address) as w:
            w.send("GET /slow?ms=300 HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
            assert w.answer().body == b"slow\n" and w.answer().body == b"fast\n"
        with Wire(s.address) as w:  # with a body, and the same connection twice
            for _ in range(2):
                assert w.ask("POST", "/slow?ms=50", b"abc").body == b"slow\n"
        assert s.stats()["gone"] == 2


def hang_up_does_not_spin():
    """F2.4 a pipelined request behind a suspended one costs no processor time"""
    with Server() as s, Wire(s.address) as w:
        w.send("GET /slow?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        with open(f"/proc/{s.process.pid}/stat") as f:
            before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        assert w.answer().body == b"slow\n"
        with open(f"/proc/{s.process.pid}/stat") as f:
            ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) - before
        assert ticks < 50, f"{ticks} ticks of 10 ms while nothing was to be done"


def hang_up_under_load():
    """F2.4 clients that vanish at any moment leave nothing behind"""
    with Server() as s:
        def rude(i):
            for k in range(20):
                w = Wire(s.address)
                w.send(f"GET /slow?ms={(i * 7 + k * 13) % 40} HTTP/1.1\r\nHost: a\r\n\r\n")
                time.sleep(((i + k) % 5) * 0.008)
                w.reset() if k % 2 else w.close()
        threads = [threading.Thread(target=rude, args=(i,)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        until(lambda: s.stats()["exchanges"] == 1, "all have ended")
        assert once(s.address, "GET", "/fast").status == 200


def end_with_data():
    """F2.9 an end that arrives together with data is seen: in a body, behind a request"""
    for text in (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc", b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                 b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + 60000 * b"a"):  # more than is read at once
        for end in (Wire.close, Wire.reset):
            with Server(body_ms=60000, idle_ms=60000, connections=3) as s:
                s.process.send_signal(signal.SIGSTOP)  # both lie there when it looks
                for _ in range(3):
                    w = Wire(s.address)
                    w.send(text)
                    end(w)
                s.process.send_signal(signal.SIGCONT)
                assert once(s.address, "GET", "/fast").status == 200  # there are three connections in all


def half_closed():
    """F2.9 who has closed only its own half gets its answer, and the connection ends then"""
    with Server(idle_ms=60000) as s, Wire(s.address) as w:
        s.process.send_signal(signal.SIGSTOP)
        w.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        w.socket.shutdown(socket.SHUT_WR)
        s.process.send_signal(signal.SIGCONT)
        assert w.answer().body == b"fast\n" and w.closed()


def stop_with_suspended():
    """F2.5 stopping waits for suspended connections; their answers arrive; new ones are refused"""
    s = Server()
    wires = [Wire(s.address) for _ in range(10)]
    for w in wires:
        w.send("GET /slow?ms=700 HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: s.stats()["exchanges"] == 11, "the requests are there")
    s.terminate()
    for w in wires:
        answer = w.answer()
        assert answer.body == b"slow\n" and answer.header("Connection") == "close" and w.closed()
        w.close()
    s.stop()


def stop_with_backlog():
    """F2.5 what stands in the backlog at the stop is answered"""
    s = Server(connections=1000)
    s.process.send_signal(signal.SIGSTOP)  # so that nothing is accepted before the stop
    wires = [Wire(s.address) for _ in range(100)]
    for w in wires:
        w.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
    s.terminate()
    s.process.send_signal(signal.SIGCONT)
    for w in wires:
        assert w.answer().status == 200
        w.close()
    s.stop()


def stop_with_idle():
    """F2.5 idle connections do not hold up the stop"""
    s = Server(idle_ms=60000)
    wires = [Wire(s.address) for _ in range(5)]
    for w in wires[:3]:
        assert w.ask("GET", "/fast").status == 200
    s.terminate()
    assert all(w.closed() for w in wires)
    s.stop()


def others_while_slow():
    """F2.6 a request that waits does not keep others waiting"""
    with Server() as s:
        with Wire(s.address) as slow, Wire(s.address) as w:
            slow.send("GET /slow?ms=2000 HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(50):
                assert w.ask("GET", "/fast").status == 200
            assert slow.quiet(0)


def large_headers():
    """F2.7 headers beyond the pool get 4xx; 20 KB of them are fine"""
    with Server() as s:
        assert once(s.address, "GET", "/fast", headers=[("X-Long", "a" * 20000)]).status == 200
        with Wire(s.address) as w:
            try:
                w.send("GET /fast HTTP/1.1\r\nHost: a\r\nX: " + "a" * 200000 + "\r\n\r\n")
                assert w.answer().status in (413, 414, 431)
            except (Closed, BrokenPipeError, ConnectionResetError):
                pass
        with Wire(s.address) as w:
            try:
                w.send("GET /" + "a" * 200000 + " HTTP/1.1\r\nHost: a\r\n\r\n")
                assert w.answer().status in (413, 414, 431)
            except (Closed, BrokenPipeError, ConnectionResetError):
                pass
        assert once(s.address, "GET", "/fast").status == 200


def connection_limit():
    """F2.7 the limit of connections is ours: more wait, none is lost"""
    with Server(connections=4, idle_ms=60000) as s:
        wires = [Wire(s.address) for _ in range(4)]
        for w in wires:
            assert w.ask("GET", "/fast").status == 200
        with Wire(s.address) as fifth:
            fifth.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
            assert fifth.quiet(0.3)
            wires.pop().close()
            assert fifth.answer().status == 200
        [w.close() for w in wires]


def many_connections():
    """F2.7 more connections than FD_SETSIZE"""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    with Server(connections=2000) as s:
        wires = [Wire(s.address) for _ in range(1100)]
        for w in wires[::100] + wires[-20:]:
            assert w.ask("GET", "/far").status == 200
        [w.close() for w in wires]


SMUGGLING = [
    ("duplicate Content-Length", "Host: a\r\nContent-Length: 0\r\nContent-Length: 38\r\n", 400),
    ("duplicate Content-Length, the same", "Host: a\r\nContent-Length: 38\r\nContent-Length: 38\r\n", 400),
    ("a list as Content-Length", "Host: a\r\nContent-Length: 38, 38\r\n", 400),
    ("Content-Length and Transfer-Encoding", "Host: a\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n", 400),
    ("duplicate Transfer-Encoding", "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    ("unknown Transfer-Encoding", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
    ("identity Transfer-Encoding", "Host: a\r\nTransfer-Encoding: identity\r\n", 501),
    ("Transfer-Encoding with a tab", "Host: a\r\nTransfer-Encoding: \tchunked\r\nContent-Length: 3\r\n", 400),
    ("duplicate Host", "Host: a\r\nHost: b\r\nContent-Length: 38\r\n", 400),
    ("no Host", "Content-Length: 38\r\n", 400),
    ("a blank in Host", "Host: a b\r\nContent-Length: 38\r\n", 400),
    ("a path in Host", "Host: a/b\r\nContent-Length: 38\r\n", 400),
    ("duplicate Content-Type", "Host: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 38\r\n", 400),
    ("a folded Content-Length", "Host: a\r\nContent-Length:\r\n 38\r\n", 400),
    ("Content-Length folded after a digit", "Host: a\r\nContent-Length: 3\r\n\t8\r\n", 400),
    ("a folded Transfer-Encoding", "Host: a\r\nTransfer-Encoding:\r\n chunked\r\n", 400),
    ("a blank before the colon", "Host: a\r\nContent-Length : 38\r\n", 400),
    ("a tab before the colon", "Host: a\r\nContent-Length\t: 38\r\n", 400),
    ("a blank in a name", "Host: a\r\nContent Length: 38\r\n", 400),
    ("negative Content-Length", "Host: a\r\nContent-Length: -1\r\n", 400),
    ("Content-Length with a sign", "Host: a\r\nContent-Length: +38\r\n", 400),
    ("hexadecimal Content-Length", "Host: a\r\nContent-Length: 0x26\r\n", 400),
    ("empty Content-Length", "Host: a\r\nContent-Length: \r\n", 400),
    ("huge Content-Length", "Host: a\r\nContent-Length: 99999999999999999999999\r\n", 413),
    ("unknown expectation", "Host: a\r\nExpect: 200-maybe\r\nContent-Length: 38\r\n", 417),
    ("a control character in a value", "Host: a\r\nX-A: b\x01c\r\nContent-Length: 38\r\n", 400),
]


def smuggling(name, headers, status):
    def test():
        inner = "GET /stats HTTP/1.1\r\nHost: hidden\r\n\r\n"
        with Server() as s, Wire(s.address) as w:
            w.send("POST /echo HTTP/1.1\r\n" + headers + "\r\n" + inner)
            answer = w.answer()
            assert answer.status == status, answer
            if name.startswith("duplicate"):
                problem(answer, status, "duplicate header")
            assert answer.header("Connection") == "close", answer
            try:
                second = w.answer()
                raise AssertionError(f"the hidden request was answered: {second}")
            except Closed:
                pass
    test.__doc__ = f"F2.9 {name}: {status}, and the connection ends"
    return test


def http_1_0():
    """HTTP/1.0 needs no Host and may not chunk"""
    with Server() as s:
        with Wire(s.address) as w:
            w.send("GET /fast HTTP/1.0\r\n\r\n")
            assert w.answer().status == 200 and w.closed()
        with Wire(s.address) as w:
            w.send("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            problem(w.answer(), 400, "HTTP/1.0")


run([lost_wake_up, zero_timeout, big_answers, slow_headers, slow_headers_answer, slow_request_line, slow_body,
     slow_second_request, idle_connection, slow_reader, deferred_is_not_timed_out, hang_up, hang_up_does_not_spin,
     hang_up_under_load, end_with_data, half_closed, stop_with_suspended, stop_with_backlog, stop_with_idle, others_while_slow, large_headers,
     connection_limit, many_connections] + [smuggling(*case) for case in SMUGGLING] + [http_1_0])
