#!/usr/bin/env python3
"""Connections: what comes and goes slowly, hangs up, half-closes, waits, or is too much."""
import os, resource, signal, socket, tempfile, threading, time
from trap import Server
from wire import Closed, Wire, once, problem, run, until


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


def clean_end(w):
    """Whether the other side has closed, with nothing more sent and nothing lost."""
    return not w.buffer and w.socket.recv(1) == b""


def lost_wake_up():
    """resumed from another thread: no request is lost"""
    with Server() as s:
        assert burst(s.address, "/far", 16, 150) == 16 * 150
        assert burst(s.address, "/far", 8, 60, b"x" * 20000) == 8 * 60


def zero_timeout():
    """bodies larger than any buffer arrive whole, with and without pauses"""
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


def whole_although_more_came():
    """what comes behind a last request does not cost its answer"""
    with Server(idle_ms=60000) as s, Wire(s.address) as w:
        w.send("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)
        w.send("\r\n")  # some clients end each request so
        time.sleep(0.2)
        assert len(w.answer().body) == 4096 * 4096 and clean_end(w)
        with Wire(s.address) as w:
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n")
            time.sleep(0.1)
            w.send("abc\r\n")
            assert w.answer().status == 200 and clean_end(w)


def refused_upload():
    """who reads only when all is sent learns why it is refused, announced or not"""
    with Server() as s:
        for framing in ("Content-Length: 20000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1312d00\r\n"):
            with Wire(s.address) as w:
                w.send("POST /echo HTTP/1.1\r\nHost: a\r\n" + framing)
                w.send(b"x" * 20000000)
                problem(w.answer(), 413)
                assert clean_end(w)


def slow_headers():
    """headers that drip are ended by their own deadline with 408"""
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
    """the answer to slow headers is a problem document"""
    with Server(header_ms=1000) as s, Wire(s.address) as w:
        w.send("GET /fast HTTP/1.1\r\nHost: a\r\n")
        answer = w.answer()
        problem(answer, 408, "headers")
        assert answer.header("Connection") == "close" and w.closed()


def slow_request_line():
    """a connection that never sends a request line is closed"""
    with Server(header_ms=300) as s:
        with Wire(s.address) as silent, Wire(s.address) as half:
            half.send("GET /fa")
            assert silent.closed() and half.closed()


def slow_body():
    """a body that drips is ended by its own deadline with 408, activity or not"""
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
    """deadlines begin anew with each request of a connection"""
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
    """an idle connection is closed after its time, without an answer"""
    with Server(idle_ms=300) as s, Wire(s.address) as w:
        assert w.ask("GET", "/fast").status == 200
        assert w.closed()


def slow_reader():
    """a client that does not take its answer is hung up on"""
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
    """the end of a connection whose request is worked on is seen when it is one: a reset, or a UNIX socket closed"""
    path = f"/tmp/autodidact-hang-up-{os.getpid()}.sock"
    for listen, end in (("127.0.0.1:0", Wire.reset), ("unix:" + path, Wire.close)):
        with Server(listen=listen) as s:
            w = Wire(s.address)
            w.send("GET /slow?ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: s.stats()["slow"] == 1, "the request is there")
            end(w)
            until(lambda: s.stats()["gone"] == 1, "the hang-up is seen", 2)
            with Wire(s.address) as w:
                w.send("GET /slow?ms=300 HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
                assert w.answer().body == b"slow\n" and w.answer().body == b"fast\n"
            with Wire(s.address) as w:  # with a body, and the same connection twice
                for _ in range(2):
                    assert w.ask("POST", "/slow?ms=50", b"abc").body == b"slow\n"
            assert s.stats()["gone"] == 1


def end_is_not_hang_up():
    """who has closed its own half has not gone: whatever waits is answered"""
    with Server() as s:
        before, w = s.stats(), Wire(s.address)
        w.send("GET /slow?ms=800 HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: s.stats()["slow"] == 1, "the request is there")
        w.socket.shutdown(socket.SHUT_WR)
        assert w.answer().body == b"slow\n" and w.closed()
        assert s.stats()["gone"] == before["gone"] == 0


def hang_up_does_not_spin():
    """a pipelined request behind a suspended one costs no processor time"""
    with Server() as s, Wire(s.address) as w:
        w.send("GET /slow?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        with open(f"/proc/{s.process.pid}/stat") as f:
            before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        assert w.answer().body == b"slow\n"
        with open(f"/proc/{s.process.pid}/stat") as f:
            ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) - before
        assert ticks < 50, f"{ticks} ticks of 10 ms while nothing was to be done"


def hang_up_under_load():
    """clients that vanish at any moment leave nothing behind"""
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
    """an end that arrives together with data is seen: in a body, behind a request"""
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


ANSWERS = [  # what is sent, what comes back; the first is answered at once, the others wait
    ("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n", b"fast\n"),
    ("GET /slow?ms=200 HTTP/1.1\r\nHost: a\r\n\r\n", b"slow\n"),
    ("POST /slow?ms=200 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"slow\n"),
    ("GET /far HTTP/1.1\r\nHost: a\r\n\r\n", b"far\n"),
    ("POST /far HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"far\n"),
    ("GET /stream?n=5 HTTP/1.1\r\nHost: a\r\n\r\n", b"tick\n" * 5),
]


def content(w):
    """The body of the next answer, of a stream, too."""
    answer = w.answer()
    assert answer.status == 200, answer
    if answer.header("Transfer-Encoding") != "chunked":
        return answer.body
    body = b""
    while True:
        while b"\r\n" not in w.buffer:
            w.more()
        line, w.buffer = w.buffer.split(b"\r\n", 1)
        size = int(line, 16)
        while len(w.buffer) < size + 2:
            w.more()
        body, w.buffer = body + w.buffer[:size], w.buffer[size + 2:]
        if size == 0:
            return body


def large_events():
    """a stream takes a text of any size from its writer, and no more before the client has read it"""
    with Server(idle_ms=60000) as s, Wire(s.address) as w:
        w.send("GET /stream?n=3&bytes=3000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(content(w)) == 9000000
        with open(f"/proc/{s.process.pid}/statm") as f:
            before = int(f.read().split()[1])
        w.send("GET /stream?n=300&bytes=1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(4)
        with open(f"/proc/{s.process.pid}/statm") as f:
            grown = (int(f.read().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE")
        assert grown < 64 << 20, f"{grown} bytes"
        try:
            while True:
                w.more()
                w.buffer = b""
        except Closed:
            pass  # it was too much, and ends when what went out has been read
        until(lambda: s.stats()["exchanges"] == 1, "the stream is given up")


def half_closed():
    """who has closed only its own half gets its answer, and the connection ends then"""
    with Server(idle_ms=60000) as s:
        for stopped in (True, False):  # the end comes with the request; while it is worked on
            for request, body in ANSWERS:
                with Wire(s.address) as w:
                    if stopped:
                        s.process.send_signal(signal.SIGSTOP)
                    w.send(request)
                    if not stopped:
                        time.sleep(0.05)
                    w.socket.shutdown(socket.SHUT_WR)
                    s.process.send_signal(signal.SIGCONT)
                    assert content(w) == body and w.closed()
        assert s.stats()["gone"] == 0


def half_closed_pipeline():
    """whatever a client has asked before it closed its half is answered, in order"""
    with Server(idle_ms=60000) as s, Wire(s.address) as w:
        w.send("".join(request for request, _ in ANSWERS) * 20)
        w.socket.shutdown(socket.SHUT_WR)
        for _, body in ANSWERS * 20:
            assert content(w) == body
        assert w.closed()


def end_in_the_middle():
    """a request that its client's end cuts off is told so, and its place is free at once"""
    with Server(header_ms=60000, body_ms=60000, idle_ms=60000, connections=3) as s:
        for text in ("GET /fa", "GET /fast HTTP/1.1\r\nHost: a\r\n", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
                     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"):
            with Wire(s.address) as w:
                w.send(text)
                w.socket.shutdown(socket.SHUT_WR)
                problem(w.answer(), 400, "end")
                assert w.closed()
            for _ in range(4):  # more than there are places
                w = Wire(s.address)
                w.send(text)
                w.close()
            until(lambda: s.stats()["exchanges"] == 1, "all have ended", 5)
        with Wire(s.address) as w:  # nothing was begun: nothing is said
            w.socket.shutdown(socket.SHUT_WR)
            assert w.closed()


def stop_with_suspended():
    """stopping waits for suspended connections; their answers arrive; new ones are refused"""
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
    """what stands in the backlog at the stop is answered"""
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
    """idle connections do not hold up the stop"""
    s = Server(idle_ms=60000)
    wires = [Wire(s.address) for _ in range(5)]
    for w in wires[:3]:
        assert w.ask("GET", "/fast").status == 200
    s.terminate()
    assert all(w.closed() for w in wires)
    s.stop()


def others_while_slow():
    """a request that waits does not keep others waiting"""
    with Server() as s:
        with Wire(s.address) as slow, Wire(s.address) as w:
            slow.send("GET /slow?ms=2000 HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(50):
                assert w.ask("GET", "/fast").status == 200
            assert slow.quiet(0)


def waited_unread():
    """a request has arrived when the system had it, however late it is read; not while an earlier one was awaited"""
    with Server() as s, Wire(s.address) as other, Wire(s.address) as w:
        assert float(w.ask("GET", "/age").body) < 250
        time.sleep(0.5)
        assert float(w.ask("GET", "/age").body) < 250
        other.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.05)
        before = time.monotonic()
        age = float(w.ask("GET", "/age").body)
        assert 100 < age < 1e3 * (time.monotonic() - before) + 1, age


def connection_limit():
    """at the limit of connections those wait that come; who has been idle gives way, who is served does not"""
    with Server(connections=4, idle_ms=60000) as s:
        wires = [Wire(s.address) for _ in range(4)]
        for w in wires:
            w.send("GET /slow?ms=2500 HTTP/1.1\r\nHost: a\r\n\r\n")
        with Wire(s.address) as fifth:
            fifth.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
            assert fifth.quiet(0.5)
            assert all(w.answer().body == b"slow\n" for w in wires)
            assert fifth.answer().status == 200
        closed = [w.closed(1) for w in wires]
        assert sum(closed) == 1, closed
        [w.close() for w in wires]


def idle_give_way():
    """however many are idle, who comes is served"""
    with Server(connections=20, idle_ms=60000) as s:
        idle = [Wire(s.address) for _ in range(20)]
        for w in idle[:10]:
            assert w.ask("GET", "/fast").status == 200
        for w in idle[10:15]:
            w.send("GET /fa")
        with Wire(s.address) as busy:  # one that has been given a place
            for _ in range(5):
                assert once(s.address, "GET", "/fast").status == 200
                assert busy.ask("GET", "/fast").status == 200
        [w.close() for w in idle]


def limit_of_an_address():
    """an address has so many connections: idle ones give way, then it is told so; others are let in"""
    with Server(peer=5, idle_ms=60000) as s:
        wires = [Wire(s.address) for _ in range(5)]
        for w in wires:
            w.send("GET /slow?ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        with Wire(s.address) as w:
            problem(w.answer(), 429, "connections")
        with socket.create_connection(s.address.rsplit(":", 1), source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET /fast HTTP/1.0\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
        for w in wires:
            assert w.answer().body == b"slow\n"
        time.sleep(1.2)
        with Wire(s.address) as w:  # in the place of one that has been idle
            assert w.ask("GET", "/fast").status == 200
        [w.close() for w in wires]
    with Server(peer=2, trusted="10.0.0.0/8, 127.0.0.1") as s:
        wires = [Wire(s.address) for _ in range(8)]
        assert all(w.ask("GET", "/fast").status == 200 for w in wires)
        [w.close() for w in wires]


def turned_away():
    """who is turned away gets to know why, whatever it sends meanwhile, and keeps nobody out"""
    with Server(peer=2, connections=32, idle_ms=60000) as s:
        wires = [Wire(s.address) for _ in range(2)]
        for w in wires:
            w.send("GET /slow?ms=4000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        with Wire(s.address) as w:
            time.sleep(0.2)
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
            w.send(b"x" * 100000)
            problem(w.answer(), 429, "connections")
            assert clean_end(w)
        crowd = [Wire(s.address) for _ in range(60)]  # more than there are places, and none of them closes
        with socket.create_connection(s.address.rsplit(":", 1), source_address=("127.0.0.2", 0)) as other:
            other.settimeout(0.7)
            other.sendall(b"GET /fast HTTP/1.0\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
        for w in crowd:
            problem(w.answer(), 429, "connections")
            w.close()
        for w in wires:
            assert w.answer().body == b"slow\n"
        [w.close() for w in wires]
        until(lambda: once(s.address, "GET", "/fast").status == 200, "none of the crowd counts any more", 1)


def kept_memory():
    """memory that idle connections keep for their next bodies does not shut out others of their address"""
    with Server(upload=64 << 20, upload_peer=8 << 20, idle_ms=60000) as s:
        wires = [Wire(s.address) for _ in range(40)]
        for _ in range(2):
            assert all(w.ask("POST", "/echo", b"x" * 400000).status == 200 for w in wires)
        assert once(s.address, "POST", "/echo", b"x" * 7500000).status == 200  # nearly all of it
        assert all(w.ask("POST", "/echo", b"x" * 400000).status == 200 for w in wires)
        [w.close() for w in wires]


def limit_of_uploads():
    """the bodies of one address are bounded before those of all are"""
    with Server(upload=8 << 20, upload_peer=3 << 20) as s:
        hog = Wire(s.address)
        hog.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1500000\r\n\r\n")
        hog.send(b"x" * 1400000)
        until(lambda: s.stats()["upload_bytes"] >= 1400000, "the body is there")
        answer = once(s.address, "POST", "/echo", b"y" * 1700000)
        problem(answer, 429, "address")
        assert answer.header("Retry-After") == "1"
        with socket.create_connection(s.address.rsplit(":", 1), source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"POST /echo HTTP/1.0\r\nContent-Length: 300000\r\n\r\n" + b"y" * 300000)
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
        hog.send(b"x" * 100000)
        assert hog.answer().status == 200
        hog.close()
        until(lambda: s.stats()["upload_bytes"] == 0, "its memory is given back")
        assert once(s.address, "POST", "/echo", b"y" * 900000).status == 200


def pace_of_a_body():
    """a body that stalls or drips is given up long before its deadline; one that keeps the pace is not"""
    with Server(body_ms=60000, rate=1000) as s, Wire(s.address) as stalled, Wire(s.address) as quick:
        for w in (stalled, quick):
            w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        stalled.send(b"x" * 1000)
        begin = time.monotonic()
        sent = 0
        while stalled.quiet(0.1):
            quick.send(b"y" * 500)
            sent += 500
            assert time.monotonic() - begin < 40
        problem(stalled.answer(), 408, "slowly")
        assert stalled.closed()
        quick.send(b"y" * (100000 - sent))
        assert quick.answer().status == 200


def out_of_descriptors():
    """without descriptors idle connections give way, and one line of the log says why others wait"""
    with tempfile.TemporaryFile() as log, Server(connections=1000, idle_ms=60000, stderr=log) as s:
        used = len(os.listdir(f"/proc/{s.process.pid}/fd"))
        resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        wires = [Wire(s.address) for _ in range(25)]
        for w in wires:
            w.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all(w.answer().status == 200 for w in wires)
        [w.close() for w in wires]
        log.seek(0)
        assert log.read().count(b"cannot take connections") == 1


def many_connections():
    """more connections than FD_SETSIZE"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    with Server(connections=2000) as s:
        wires = [Wire(s.address) for _ in range(1100)]
        for w in wires[::100] + wires[-20:]:
            assert w.ask("GET", "/far").status == 200
        [w.close() for w in wires]


run([lost_wake_up, zero_timeout, big_answers, whole_although_more_came, refused_upload, slow_headers, slow_headers_answer,
     slow_request_line, slow_body, slow_second_request, idle_connection, slow_reader, deferred_is_not_timed_out, hang_up, hang_up_does_not_spin,
     hang_up_under_load, end_is_not_hang_up, end_with_data, large_events, half_closed, half_closed_pipeline,
     end_in_the_middle, stop_with_suspended, stop_with_backlog, stop_with_idle, others_while_slow, waited_unread,
     connection_limit, idle_give_way, limit_of_an_address, turned_away, kept_memory, limit_of_uploads, pace_of_a_body,
     out_of_descriptors, many_connections])
