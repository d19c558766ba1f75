#!/usr/bin/env python3
"""How requests are framed: each form that two readers may understand in two ways is refused with one problem document, and the
connection ends; each exchange that is begun is ended."""
import socket, time
from trap import Server
from wire import Closed, Wire, problem, run, until

HIDDEN = "GET /stats HTTP/1.1\r\nHost: hidden\r\n\r\n"  # behind each refused head; its answer would be a smuggled one
POST, GET, HOST = "POST /echo HTTP/1.1\r\n", "GET /fast HTTP/1.1\r\n", "Host: a\r\n"
CHUNKED = POST + HOST + "Transfer-Encoding: chunked\r\n\r\n"

# What is sent before HIDDEN; the status of the only answer. Every end of line is written out.
REFUSED = [
    # the request line
    ("two blanks in front of the target", "GET  /fast HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("two blanks behind the target", "GET /fast  HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a blank in the target", "GET /fa st HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a blank behind the request line", "GET /fast HTTP/1.1 \r\n" + HOST + "\r\n", 400),
    ("a blank before the method", " GET /fast HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("tabs in the request line", "GET\t/fast\tHTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("no protocol", "GET /fast\r\n" + HOST + "\r\n", 400),
    ("no target", "GET HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("no method", "/fast HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a method that is no token", "GE(T /fast HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("two empty lines before the request line", "\r\n\r\n" + GET + HOST + "\r\n", 400),
    ("a bare LF before the request line", "\n" + GET + HOST + "\r\n", 400),
    ("a NUL in the request line", "GET /fast\0 HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a control character in the target", "GET /fast\x7f HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("bytes beyond ASCII in the target", "GET /f\xe4st HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a target in absolute form without a host", "GET http:///fast HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("a blank in the protocol", "GET /fast HTTP /1.1\r\n" + HOST + "\r\n", 400),
    ("a lower-case protocol", "GET /fast http/1.1\r\n" + HOST + "\r\n", 400),
    ("a protocol of two digits", "GET /fast HTTP/1.10\r\n" + HOST + "\r\n", 400),
    ("HTTP/0.9's number", "GET /fast HTTP/0.9\r\n" + HOST + "\r\n", 505),
    ("HTTP/2.0's number", "GET /fast HTTP/2.0\r\n" + HOST + "\r\n", 505),
    ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("a TLS client", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),
    ("a request line beyond its bound", "GET /" + "a" * 20000 + " HTTP/1.1\r\n" + HOST + "\r\n", 414),
    ("a request line without end", "GET /" + "a" * 200000, 414),
    # field lines
    ("a line that begins with a colon", POST + HOST + ": x\r\nContent-Length: 40\r\n\r\n", 400),
    ("a line that is a colon", POST + HOST + ":\r\nContent-Length: 40\r\n\r\n", 400),
    ("a line without a colon", POST + HOST + "Content-Length\r\n\r\n", 400),
    ("a blank before the colon", POST + HOST + "Content-Length : 38\r\n\r\n", 400),
    ("a tab before the colon", POST + HOST + "Content-Length\t: 38\r\n\r\n", 400),
    ("a blank in a name", POST + HOST + "Content Length: 38\r\n\r\n", 400),
    ("a NUL in a name", POST + HOST + "Content-\0Length: 38\r\n\r\n", 400),
    ("a byte beyond ASCII in a name", POST + HOST + "X-\xe4: 38\r\n\r\n", 400),
    ("a blank before the first name", GET + " " + HOST + "\r\n", 400),
    ("a folded header", GET + HOST + "X-A: b\r\n c\r\n\r\n", 400),
    ("a folded Content-Length", POST + HOST + "Content-Length:\r\n 38\r\n\r\n", 400),
    ("Content-Length folded after a digit", POST + HOST + "Content-Length: 3\r\n\t8\r\n\r\n", 400),
    ("a folded Transfer-Encoding", POST + HOST + "Transfer-Encoding:\r\n chunked\r\n\r\n", 400),
    ("a line of blanks", GET + HOST + "  \r\n\r\n", 400),
    ("LF for the request line's end", "GET /fast HTTP/1.1\n" + HOST + "\r\n", 400),
    ("LF for a header's end", GET + "Host: a\nX-A: b\r\n\r\n", 400),
    ("LF for the empty line", GET + HOST + "\n", 400),
    ("LF everywhere", "GET /fast HTTP/1.1\nHost: a\n\n", 400),
    ("CR for a header's end", GET + "Host: a\rX-A: b\r\n\r\n", 400),
    ("CR CR LF for a header's end", GET + "Host: a\r\r\n\r\n", 400),
    ("a control character in a value", POST + HOST + "X-A: b\x01c\r\nContent-Length: 38\r\n\r\n", 400),
    ("a NUL in a value", GET + HOST + "X-A: b\0c\r\n\r\n", 400),
    ("a NUL behind Transfer-Encoding", POST + HOST + "Transfer-Encoding: chunked\0, gzip\r\n\r\n0\r\n\r\n", 400),
    ("a NUL in Content-Length", POST + HOST + "Content-Length: 3\0009\r\n\r\n", 400),
    ("a NUL behind Host", GET + "Host: a\0\r\n\r\n", 400),
    ("too many headers", GET + HOST + "X: y\r\n" * 200 + "\r\n", 431),
    ("headers beyond their bound", GET + HOST + "X: " + "y" * 100000 + "\r\n\r\n", 431),
    ("headers without end", GET + HOST + "X: y\r\n" * 40000, 431),
    # what they say of the body
    ("duplicate Content-Length", POST + HOST + "Content-Length: 0\r\nContent-Length: 38\r\n\r\n", 400),
    ("duplicate Content-Length, the same", POST + HOST + "Content-Length: 38\r\nContent-Length: 38\r\n\r\n", 400),
    ("a list as Content-Length", POST + HOST + "Content-Length: 38, 38\r\n\r\n", 400),
    ("Content-Length and Transfer-Encoding", POST + HOST + "Content-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("Transfer-Encoding and Content-Length", POST + HOST + "Transfer-Encoding: chunked\r\nContent-Length: 38\r\n\r\n", 400),
    ("duplicate Transfer-Encoding", POST + HOST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("unknown Transfer-Encoding", POST + HOST + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("Transfer-Encoding that does not end in chunked", POST + HOST + "Transfer-Encoding: chunked, gzip\r\n\r\n", 501),
    ("chunked twice", POST + HOST + "Transfer-Encoding: chunked, chunked\r\n\r\n", 501),
    ("identity Transfer-Encoding", POST + HOST + "Transfer-Encoding: identity\r\n\r\n", 501),
    ("empty Transfer-Encoding", POST + HOST + "Transfer-Encoding:\r\n\r\n", 501),
    ("Transfer-Encoding with a tab", POST + HOST + "Transfer-Encoding: \tchunked\r\nContent-Length: 3\r\n\r\n", 400),
    ("chunked in HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("negative Content-Length", POST + HOST + "Content-Length: -1\r\n\r\n", 400),
    ("Content-Length with a sign", POST + HOST + "Content-Length: +38\r\n\r\n", 400),
    ("hexadecimal Content-Length", POST + HOST + "Content-Length: 0x26\r\n\r\n", 400),
    ("Content-Length with a point", POST + HOST + "Content-Length: 38.0\r\n\r\n", 400),
    ("empty Content-Length", POST + HOST + "Content-Length: \r\n\r\n", 400),
    ("huge Content-Length", POST + HOST + "Content-Length: 99999999999999999999999\r\n\r\n", 413),
    ("Content-Length beyond the route's", POST + HOST + "Content-Length: 9000000\r\n\r\n", 413),
    ("no Host", "POST /echo HTTP/1.1\r\nContent-Length: 38\r\n\r\n", 400),
    ("duplicate Host", POST + "Host: a\r\nHost: b\r\nContent-Length: 38\r\n\r\n", 400),
    ("a blank in Host", POST + "Host: a b\r\nContent-Length: 38\r\n\r\n", 400),
    ("a path in Host", POST + "Host: a/b\r\nContent-Length: 38\r\n\r\n", 400),
    ("duplicate Content-Type", POST + HOST + "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 38\r\n\r\n", 400),
    ("duplicate Authorization", POST + HOST + "Authorization: a\r\nAuthorization: b\r\nContent-Length: 38\r\n\r\n", 400),
    ("unknown expectation", POST + HOST + "Expect: 200-maybe\r\nContent-Length: 38\r\n\r\n", 417),
    # chunks
    ("LF behind a chunk's size", CHUNKED + "3\nabc\r\n0\r\n\r\n", 400),
    ("LF behind a chunk", CHUNKED + "3\r\nabc\n0\r\n\r\n", 400),
    ("LF behind the last size", CHUNKED + "3\r\nabc\r\n0\n\r\n", 400),
    ("LF for the end of chunks", CHUNKED + "3\r\nabc\r\n0\r\n\n", 400),
    ("a chunk's size with a sign", CHUNKED + "+3\r\nabc\r\n0\r\n\r\n", 400),
    ("a negative chunk", CHUNKED + "-3\r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk's size with 0x", CHUNKED + "0x3\r\nabc\r\n0\r\n\r\n", 400),
    ("a blank before a chunk's size", CHUNKED + " 3\r\nabc\r\n0\r\n\r\n", 400),
    ("a blank behind a chunk's size", CHUNKED + "3 \r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk without size", CHUNKED + "\r\nabc\r\n0\r\n\r\n", 400),
    ("an extension without size", CHUNKED + ";x\r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk's size beyond 64 bits", CHUNKED + "10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk that is longer than it says", CHUNKED + "2\r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk that is shorter than it says", CHUNKED + "4\r\nabc\r\n0\r\n\r\n", 400),
    ("a NUL in a chunk's size", CHUNKED + "3\0\r\nabc\r\n0\r\n\r\n", 400),
    ("a NUL in an extension", CHUNKED + "3;\0\r\nabc\r\n0\r\n\r\n", 400),
    ("an extension beyond its bound", CHUNKED + "3;" + "x" * 5000 + "\r\nabc\r\n0\r\n\r\n", 400),
    ("a trailer without a name", CHUNKED + "0\r\n: x\r\n\r\n", 400),
    ("a folded trailer", CHUNKED + "0\r\nX: a\r\n b\r\n\r\n", 400),
    ("a trailer with LF", CHUNKED + "0\r\nX: a\n\r\n", 400),
    ("a trailer beyond its bound", CHUNKED + "0\r\n" + "X: y\r\n" * 5000 + "\r\n", 400),
    ("a chunked body beyond the route's", CHUNKED + "900000\r\n" + "x" * 0x900000, 413),
]

# What is sent, and the statuses of all answers, in order.
TAKEN = [
    ("HTTP/1.1", GET + HOST + "\r\n", [200]),
    ("an empty line before the request line", "\r\n" + GET + HOST + "\r\n", [200]),
    ("an empty line between two requests", GET + HOST + "\r\n\r\n" + GET + HOST + "\r\n", [200, 200]),
    ("no blank behind the colon", GET + "Host:a\r\nX-A:b\r\n\r\n", [200]),
    ("blanks around a value", POST + "Host: \t a \t\r\nContent-Length:  2 \r\n\r\nab", [200]),
    ("bytes beyond ASCII in a value", GET + HOST + "X-A: \xe4\r\n\r\n", [200]),
    ("an empty value", GET + HOST + "X-A:\r\n\r\n", [200]),
    ("a target in absolute form", "GET http://b:80/fast HTTP/1.1\r\n" + HOST + "\r\n", [200]),
    ("a query of a thousand arguments", "GET /fast?" + "a=1&" * 1000 + " HTTP/1.1\r\n" + HOST + "\r\n", [200]),
    ("leading zeros of Content-Length", POST + HOST + "Content-Length: 0003\r\n\r\nabc", [200]),
    ("HTTP/1.2", "GET /fast HTTP/1.2\r\n" + HOST + "\r\n", [200]),
    ("OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + HOST + "\r\n", [404]),
    ("another method", "BREW /fast HTTP/1.1\r\n" + HOST + "\r\n", [405]),
    ("chunks", CHUNKED + "3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n", [200]),
    ("chunks with extensions and a trailer", CHUNKED + "3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\nX-A: b\r\nX-B:\r\n\r\n", [200]),
    ("Chunked in capitals", POST + HOST + "transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", [200]),
    ("a pipeline", (GET + HOST + "\r\n" + CHUNKED + "1\r\nx\r\n0\r\n\r\n" + POST + HOST + "Content-Length: 1\r\n\r\ny") * 30, [200] * 90),
    ("a refused request in a pipeline", "GET /no HTTP/1.1\r\n" + HOST + "\r\n" + GET + HOST + "\r\n", [404, 200]),
    ("a refused body in a pipeline", "POST /fast HTTP/1.1\r\n" + HOST + "Content-Length: 3\r\n\r\nabc" + GET + HOST + "\r\n", [405, 200]),
    ("20 KB of headers", GET + HOST + "X: " + "y" * 20000 + "\r\n\r\n", [200]),
    ("HTTP/1.0 that keeps the connection", "GET /fast HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2, [200, 200]),
    ("HTTP/1.0", "GET /fast HTTP/1.0\r\n\r\n" + GET + HOST + "\r\n", [200]),
    ("Connection: close", GET + HOST + "Connection: x, Close\r\n\r\n" + GET + HOST + "\r\n", [200]),
]


def send(w, text):
    """Sends what is taken: a refusal may come, and the connection end, in the middle."""
    try:
        w.send(text)
    except (BrokenPipeError, ConnectionResetError):
        pass


server = Server()


def in_pieces(text, size):
    """As one text, or with pauses between its pieces."""
    return [text[i:i + size] for i in range(0, len(text), size)]


def refused(name, text, status):
    def test():
        pieces = [text + HIDDEN]
        if len(text) < 300:
            pieces = [[text + HIDDEN], in_pieces(text + HIDDEN, 7)]
        else:
            pieces = [pieces]
        for way in pieces:
            with Wire(server.address) as w:
                for piece in way:
                    send(w, piece)
                answer = w.answer()
                problem(answer, status)
                assert answer.header("Connection") == "close", answer
                assert answer.header("Date") and answer.header("X-Request-Id"), answer
                try:
                    raise AssertionError(f"more is answered: {w.answer()}")
                except Closed:
                    pass
    test.__doc__ = f"{name}: {status}, and the connection ends"
    return test


def taken(name, text, statuses):
    def test():
        for size in (len(text), 5):
            if size < len(text) and len(text) > 500:
                continue
            with Wire(server.address) as w:
                for piece in in_pieces(text, size):
                    send(w, piece)
                assert [w.answer().status for _ in statuses] == statuses
                w.socket.shutdown(socket.SHUT_WR)
                assert w.closed()
    test.__doc__ = f"{name}: {statuses[:3]}"
    return test


def tokens_with_nul():
    """a NUL behind the right token does not make it another right one"""
    with Server(token="secret") as s:
        for value, status in (("secret", 200), ("secret\0x", 400), ("secretx", 401), ("secret\0", 400)):
            with Wire(s.address) as w:
                w.send(GET + HOST + f"Authorization: Bearer {value}\r\n\r\n")
                assert w.answer().status == status, value


def expectation():
    """100-continue is said when the body is wanted, and a refusal instead of it when it is not"""
    with Wire(server.address) as w:
        w.send(POST + HOST + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        while b"\r\n\r\n" not in w.buffer:
            w.more()
        assert w.buffer == b"HTTP/1.1 100 Continue\r\n\r\n"
        w.send("abc")
        assert w.answer().body.startswith(b"3 ")
    with Wire(server.address) as w:
        w.send("POST /no HTTP/1.1\r\n" + HOST + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        problem(w.answer(), 404)
        assert w.closed()


def answers_are_framed():
    """HEAD, HTTP/1.0 and streams are framed as they must be"""
    with Wire(server.address) as w:
        answer = w.ask("HEAD", "/fast")
        assert answer.status == 200 and answer.header("Content-Length") == "5"
        answer = w.ask("HEAD", "/stream")
        assert answer.status == 200 and answer.header("Transfer-Encoding") == "chunked"
        assert w.ask("GET", "/fast").body == b"fast\n"
    with Wire(server.address) as w:
        w.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = w.answer()
        assert answer.header("Transfer-Encoding") is None and answer.header("Connection") == "close"
        try:
            while True:
                w.more()
        except Closed:
            assert w.buffer == b"tick\n" * 3


def every_exchange_ends():
    """of all these, cut off at any place and ended in any way, no exchange is left, and a stop ends"""
    forms = [text for _, text, _ in REFUSED + TAKEN if len(text) < 1000]
    forms.append("GET /slow?ms=100 HTTP/1.1\r\n" + HOST + "\r\n")
    forms.append("GET /stream?n=5 HTTP/1.1\r\n" + HOST + "\r\n")
    forms.append("GET /v2/health/live?" + "a=1&" * 1000 + " HTTP/1.1\r\n" + HOST)
    ends = (Wire.close, Wire.reset, lambda w: w.socket.shutdown(socket.SHUT_WR))
    with Server(connections=1000, header_ms=60000, body_ms=60000, idle_ms=60000) as s:
        half = []
        for number, text in enumerate(forms):
            for part in (1, 2, 3):
                w = Wire(s.address)
                send(w, text[:len(text) * part // 3])
                end = ends[(number + part) % 3]
                if number % 4 == 0:
                    time.sleep(0.002)
                try:
                    end(w)
                except OSError:
                    pass  # closed by the other side
                if end is ends[2]:
                    half.append(w)
        until(lambda: s.stats()["exchanges"] == 1, "all have ended")
        [w.close() for w in half]
        assert s.stats()["upload_bytes"] == 0 or until(lambda: s.stats()["upload_bytes"] == 0, "all memory is given back")


run([refused(*case) for case in REFUSED] + [taken(*case) for case in TAKEN] +
    [tokens_with_nul, expectation, answers_are_framed, every_exchange_ends, server.stop])
