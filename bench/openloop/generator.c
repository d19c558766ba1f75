/* An open-loop generator of HTTP requests: each is sent at the time its plan gives for it, whether
 * earlier ones have been answered or not, so that a server that falls behind does not slow its load
 * down. A connection carries one request at a time; when none is free a new one is opened, and a
 * request for which the limit leaves none is counted as not sent. What it costs itself (how late
 * it sent, processor time) is part of what it says.
 *
 * It sleeps until the next request is due, or for a short while, and looks for answers then: were
 * it woken by each of them, on a machine that it shares with the server it would interrupt that at
 * each. An answer's time is when the system had it, which the system says (SO_TIMESTAMPNS), so that
 * looking late does no harm.
 *
 *   generator HOST PORT PLAN RECORDS CONNECTIONS GRACE_S
 *
 * PLAN, little endian: heads (u32 n, then each u32 size, bytes), bodies (the same), requests
 * (u32 n, then each i64 ns after the start, u32 head, u32 body, ascending). A request is its head,
 * which ends behind a header's line, Content-Length, an empty line and the body.
 * RECORDS: a struct record for each request in the order of the plan. The summary is one JSON
 * object on stdout. GRACE_S: how long is waited for answers after the last request. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 << 10, /* an answer's head and what is read of its body */
    NOTES_MAX = 1000,      /* different texts; above, one stands for all others */
    NOTE_MAX = 160,
    EVENTS = 256,
};
static const int64_t second = 1000000000;
static const int64_t nap_ns = 200000; /* at most between two looks */

struct record {
    int64_t sent_ns, done_ns; /* after the start; -1: not sent, no answer */
    int32_t status;           /* 0: none */
    int32_t index;            /* of the label, -1: none */
    /* Numbers of notes, 0: none: SLA-Classifier, SLA-Reason, SLA-Deadline and a problem's detail
     * without its digits. */
    uint16_t classifier, reason, deadline, detail;
};

struct text {
    const char *data;
    uint32_t size;
};

struct request {
    int64_t at_ns;
    uint32_t head, body;
};

struct plan {
    struct text *heads, *bodies;
    uint32_t n_heads, n_bodies, n_requests;
    const char *requests;
};

struct connection {
    int fd;
    int next_free;
    bool free;
    int64_t request; /* -1: none */
    bool sending;
    size_t sent;
    char length[40]; /* Content-Length, and the empty line */
    char *answer;
    size_t have;
    size_t whole; /* size of the answer, 0 while it is not known */
};

static struct plan plan;
static struct record *records;
static struct connection *connections;
static int n_connections, connections_max, first_free = -1, watch;
static struct sockaddr_in server;
static int64_t start_ns; /* of CLOCK_MONOTONIC */
static int64_t n_waiting, n_opened_late, n_unsent, n_lost, n_reopened;
static char notes[NOTES_MAX][NOTE_MAX + 1];
static unsigned n_notes = 1;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *checked(void *memory)
{
    if (memory == NULL) fail("memory");
    return memory;
}

static int64_t ns_of(struct timespec t)
{
    return t.tv_sec * second + t.tv_nsec;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return ns_of(t);
}

static int64_t now(void)
{
    return clock_ns(CLOCK_MONOTONIC) - start_ns;
}

/* ---- the plan ---- */

static const char *take(const char **at, const char *end, size_t size)
{
    const char *from = *at;
    if ((size_t)(end - from) < size) {
        errno = EBADMSG;
        fail("the plan ends early");
    }
    *at += size;
    return from;
}

static uint32_t take_number(const char **at, const char *end)
{
    uint32_t n;
    memcpy(&n, take(at, end, sizeof(n)), sizeof(n));
    return n;
}

static struct text *take_texts(const char **at, const char *end, uint32_t *ret_n)
{
    *ret_n = take_number(at, end);
    struct text *texts = checked(calloc(*ret_n + 1, sizeof(*texts)));
    for (uint32_t i = 0; i < *ret_n; i++) {
        texts[i].size = take_number(at, end);
        texts[i].data = take(at, end, texts[i].size);
    }
    return texts;
}

static struct request request_of(int64_t i)
{
    struct request r;
    const char *at = plan.requests + i * 16;
    memcpy(&r.at_ns, at, 8);
    memcpy(&r.head, at + 8, 4);
    memcpy(&r.body, at + 12, 4);
    return r;
}

static void read_plan(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) fail(path);
    long size = ftell(f);
    char *data = checked(malloc((size_t)size + 1));
    rewind(f);
    if (fread(data, 1, (size_t)size, f) != (size_t)size) fail(path);
    fclose(f);
    const char *at = data, *end = data + size;
    plan.heads = take_texts(&at, end, &plan.n_heads);
    plan.bodies = take_texts(&at, end, &plan.n_bodies);
    plan.n_requests = take_number(&at, end);
    plan.requests = take(&at, end, (size_t)plan.n_requests * 16);
    for (int64_t i = 0; i < plan.n_requests; i++) {
        struct request r = request_of(i);
        errno = EBADMSG;
        if (r.head >= plan.n_heads || r.body >= plan.n_bodies) fail("the plan's requests");
    }
    records = checked(calloc(plan.n_requests + 1, sizeof(*records)));
    for (int64_t i = 0; i < plan.n_requests; i++)
        records[i] = (struct record){.sent_ns = -1, .done_ns = -1, .index = -1};
}

/* ---- connections ---- */

static void set_free(int i)
{
    connections[i].free = true;
    connections[i].next_free = first_free;
    first_free = i;
}

static bool open_connection(struct connection *c, bool wait)
{
    int flags = SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (c->fd < 0) return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    int rc = connect(c->fd, (struct sockaddr *)&server, sizeof(server));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u32 = (uint32_t)(c - connections)};
    if ((rc < 0 && errno != EINPROGRESS) || fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(watch, EPOLL_CTL_ADD, c->fd, &event) < 0) {
        close(c->fd);
        c->fd = -1;
        return false;
    }
    return true;
}

/* One more; -1: there are as many as may be. */
static int add_connection(bool wait)
{
    if (n_connections == connections_max) return -1;
    struct connection *c = &connections[n_connections];
    *c = (struct connection){.fd = -1, .request = -1, .answer = c->answer};
    if (c->answer == NULL) c->answer = checked(malloc(ANSWER_MAX + 1));
    if (!open_connection(c, wait)) return -1;
    return n_connections++;
}

static void finish(struct connection *c, int64_t done_ns)
{
    records[c->request].done_ns = done_ns;
    c->request = -1;
    n_waiting--;
    set_free((int)(c - connections));
}

/* The server has closed it, or it broke. It is opened again when it is needed. */
static void lost(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    if (c->request < 0) return;
    n_lost++;
    finish(c, -1);
}

/* ---- requests ---- */

static void send_more(struct connection *c)
{
    struct request r = request_of(c->request);
    const struct text *head = &plan.heads[r.head], *body = &plan.bodies[r.body];
    struct iovec pieces[3] = {{(char *)head->data, head->size},
                              {c->length, strlen(c->length)},
                              {(char *)body->data, body->size}};
    size_t skip = c->sent;
    int first = 0;
    while (first < 3 && skip >= pieces[first].iov_len) skip -= pieces[first++].iov_len;
    if (first < 3) {
        pieces[first].iov_base = (char *)pieces[first].iov_base + skip;
        pieces[first].iov_len -= skip;
        struct msghdr message = {.msg_iov = pieces + first, .msg_iovlen = (size_t)(3 - first)};
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n < 0) return; /* goes on when there is room; a loss is told by the watch */
        c->sent += (size_t)n;
    }
    c->sending = c->sent < head->size + strlen(c->length) + body->size;
}

static int free_connection(void)
{
    int i = first_free;
    if (i < 0) {
        n_opened_late++;
        return add_connection(false);
    }
    struct connection *c = &connections[i];
    first_free = c->next_free;
    c->free = false;
    if (c->fd >= 0) return i;
    n_reopened++;
    if (open_connection(c, false)) return i;
    set_free(i);
    return -1;
}

static void begin(int64_t number)
{
    int i = free_connection();
    if (i < 0) {
        n_unsent++;
        return;
    }
    struct connection *c = &connections[i];
    c->request = number;
    c->sent = c->have = c->whole = 0;
    c->sending = true;
    snprintf(c->length, sizeof(c->length), "Content-Length: %u\r\n\r\n",
             plan.bodies[request_of(number).body].size);
    n_waiting++;
    records[number].sent_ns = now();
    send_more(c);
}

/* ---- answers ---- */

static uint16_t note(const char *text, size_t size)
{
    char plain[NOTE_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < size && n < NOTE_MAX; i++) {
        char ch = text[i] < ' ' || text[i] == '"' || text[i] == '\\' ? ' ' : text[i];
        plain[n++] = ch;
    }
    plain[n] = '\0';
    for (unsigned i = 1; i < n_notes; i++)
        if (strcmp(notes[i], plain) == 0) return (uint16_t)i;
    if (n_notes == NOTES_MAX) return NOTES_MAX - 1;
    memcpy(notes[n_notes], plain, n + 1);
    return (uint16_t)n_notes++;
}

static uint16_t header_note(const char *head, const char *end, const char *name)
{
    const char *at = strcasestr(head, name);
    if (at == NULL || at > end) return 0;
    at += strlen(name);
    return note(at, strcspn(at, "\r"));
}

/* A text with each number in it as one #. */
static uint16_t detail_note(const char *body)
{
    static const char key[] = "\"detail\":\"";
    char plain[NOTE_MAX];
    size_t n = 0;
    const char *at = strstr(body, key);
    if (at == NULL) return 0;
    for (at += strlen(key); *at != '\0' && *at != '"' && n < sizeof(plain); at++) {
        bool digit = (*at >= '0' && *at <= '9') || (*at == '.' && n > 0 && plain[n - 1] == '#');
        if (!digit)
            plain[n++] = *at;
        else if (n == 0 || plain[n - 1] != '#')
            plain[n++] = '#';
    }
    return note(plain, n);
}

static void read_answer(struct connection *c, int64_t done_ns)
{
    struct record *r = &records[c->request];
    c->answer[c->have] = '\0';
    const char *head = c->answer, *end = strstr(head, "\r\n\r\n");
    r->status = atoi(head + strlen("HTTP/1.1 "));
    r->classifier = header_note(head, end, "\r\nSLA-Classifier: ");
    r->reason = header_note(head, end, "\r\nSLA-Reason: ");
    r->deadline = header_note(head, end, "\r\nSLA-Deadline: ");
    const char *index = strstr(end, "\"index\":");
    if (r->status == 200 && index != NULL) r->index = atoi(index + strlen("\"index\":"));
    if (r->status != 200) r->detail = detail_note(end);
    const char *closes = strcasestr(head, "\r\nConnection: close");
    finish(c, done_ns);
    if (closes != NULL && closes < end) lost(c);
}

/* The size of an answer whose head is there, or 0. */
static size_t size_of(struct connection *c)
{
    c->answer[c->have] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) return 0;
    const char *length = strcasestr(c->answer, "\r\nContent-Length: ");
    size_t body = length != NULL && length < end ? strtoul(length + 18, NULL, 10) : 0;
    return (size_t)(end - c->answer) + 4 + body;
}

/* As recv(), with the time at which the system had the last of it. */
static ssize_t receive_at(struct connection *c, int64_t *ret_ns)
{
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec piece = {c->answer + c->have, ANSWER_MAX - c->have};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(c->fd, &message, 0);
    *ret_ns = now();
    struct cmsghdr *said = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (said == NULL || said->cmsg_type != SCM_TIMESTAMPNS) return n;
    struct timespec at;
    memcpy(&at, CMSG_DATA(said), sizeof(at));
    int64_t ago = clock_ns(CLOCK_REALTIME) - ns_of(at);
    if (ago > 0 && ago < second) *ret_ns -= ago;
    return n;
}

static void receive(struct connection *c)
{
    while (c->fd >= 0) {
        int64_t at_ns;
        ssize_t n = receive_at(c, &at_ns);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0 || c->request < 0) {
            lost(c);
            return;
        }
        c->have += (size_t)n;
        if (c->whole == 0) c->whole = size_of(c);
        if (c->whole > ANSWER_MAX) lost(c);
        if (c->whole == 0 || c->have < c->whole) continue;
        read_answer(c, at_ns);
        return; /* nothing else can have come */
    }
}

static void hear(const struct epoll_event *event)
{
    struct connection *c = &connections[event->data.u32];
    if (c->fd < 0) return;
    if (c->request >= 0 && c->sending && (event->events & EPOLLOUT) != 0) send_more(c);
    if ((event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) receive(c);
}

/* ---- the load ---- */

static void listen_all(void)
{
    struct epoll_event events[EVENTS];
    int n;
    do {
        n = epoll_wait(watch, events, EVENTS, 0);
        for (int i = 0; i < n; i++) hear(&events[i]);
    } while (n == EVENTS);
}

static void sleep_until(int64_t at_ns)
{
    int64_t soon_ns = now() + nap_ns, to_ns = start_ns + (at_ns < soon_ns ? at_ns : soon_ns);
    const struct timespec to = {.tv_sec = to_ns / second, .tv_nsec = to_ns % second};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL);
}

static void run(int64_t grace_ns)
{
    int64_t next = 0, n = plan.n_requests;
    while (next < n) {
        sleep_until(request_of(next).at_ns);
        int64_t at_ns = now();
        for (int burst = 0; next < n && burst < EVENTS; next++, burst++) {
            if (request_of(next).at_ns > at_ns) break;
            begin(next);
        }
        listen_all();
    }
    int64_t end_ns = now() + grace_ns;
    while (n_waiting > 0 && now() < end_ns) {
        sleep_until(end_ns);
        listen_all();
    }
}

/* Only a generator that gets the processor at once measures the server and not itself. */
static const char *hurry(void)
{
    const struct sched_param first = {.sched_priority = 1};
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (sched_setscheduler(0, SCHED_FIFO, &first) == 0) return "fifo";
    return setpriority(PRIO_PROCESS, 0, -20) == 0 ? "nice -20" : "normal";
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static void say(const char *priority, double cpu_start_s)
{
    printf("{\"seconds\": %.6f, \"cpu_s\": %.6f, \"priority\": \"%s\", \"connections\": %d, "
           "\"opened_late\": %lld, \"reopened\": %lld, \"unsent\": %lld, \"lost\": %lld, "
           "\"unanswered\": %lld, \"notes\": [",
           (double)now() / 1e9, cpu_s() - cpu_start_s, priority, n_connections,
           (long long)n_opened_late, (long long)n_reopened, (long long)n_unsent, (long long)n_lost,
           (long long)n_waiting);
    for (unsigned i = 0; i < n_notes; i++) printf("%s\"%s\"", i > 0 ? ", " : "", notes[i]);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "Usage: generator HOST PORT PLAN RECORDS CONNECTIONS GRACE_S\n");
        return 2;
    }
    read_plan(argv[3]);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    connections_max = atoi(argv[5]);
    connections = checked(calloc((size_t)connections_max + 1, sizeof(*connections)));
    watch = epoll_create1(EPOLL_CLOEXEC);
    while (n_connections < connections_max / 4)
        if (add_connection(true) < 0) fail("connect");
    for (int i = n_connections; i-- > 0;) set_free(i);
    usleep(200000); /* the server has taken them in */
    const char *priority = hurry();
    double cpu_start_s = cpu_s();
    start_ns = now();
    run((int64_t)(atof(argv[6]) * (double)second));
    FILE *f = fopen(argv[4], "wb");
    if (f == NULL || fwrite(records, sizeof(*records), plan.n_requests, f) != plan.n_requests ||
        fclose(f) != 0)
        fail(argv[4]);
    say(priority, cpu_start_s);
    return 0;
}
