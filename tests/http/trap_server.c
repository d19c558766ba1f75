/* A server for the tests of the HTTP machinery: the real loop, connections and exchanges with
 * handlers that are slow, quick, or answered by another thread. Prints its address, stops at
 * SIGTERM.
 *
 *   trap_server HEADER_MS BODY_MS IDLE_MS CONNECTIONS LISTEN TOKEN PEER_CONNECTIONS TRUSTED UPLOAD
 *               UPLOAD_PEER RATE
 *
 * An empty TOKEN: everything is open. */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "json/write.h"
#include "http/server.h"
#include "http/stream.h"

static struct loop *loop;
static struct server *server;
static unsigned gone_count, slow_count;

static void reply_text(struct exchange *x, const char *text)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_puts(&body, text);
    exchange_reply(x, 200, "text/plain", &body);
    buf_release(&body);
}

static void fast(struct exchange *x, void *arg)
{
    (void)arg;
    reply_text(x, "fast\n");
}

/* Keeps the loop from all others. */
static void block(struct exchange *x, void *arg)
{
    (void)arg;
    usleep(300000);
    reply_text(x, "blocked\n");
}

/* How many milliseconds ago the request came, as the server knows it. */
static void age(struct exchange *x, void *arg)
{
    (void)arg;
    char text[40];
    snprintf(text, sizeof(text), "%.3f\n", (double)(clock_now() - exchange_arrival_ns(x)) / 1e6);
    reply_text(x, text);
}

struct slow {
    uv_timer_t timer;
    struct exchange *x;
};

static void free_slow(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void slow_over(uv_timer_t *timer)
{
    struct slow *slow = timer->data;
    reply_text(slow->x, "slow\n");
    uv_close((uv_handle_t *)timer, free_slow);
}

static void slow_gone(struct exchange *x, void *arg)
{
    (void)x, (void)arg;
    gone_count++;
}

static void slow(struct exchange *x, void *arg)
{
    (void)arg;
    const char *ms = exchange_query(x, "ms");
    struct slow *slow_one = mem_new(1, sizeof(*slow_one));
    slow_one->x = x;
    slow_one->timer.data = slow_one;
    slow_count++;
    uv_timer_init(loop_uv(loop), &slow_one->timer);
    uv_timer_start(&slow_one->timer, slow_over, ms == NULL ? 100 : (uint64_t)atoi(ms), 0);
    exchange_on_gone(x, slow_gone, NULL);
}

/* ---- answered by another thread, as the engine does ---- */

struct far {
    struct loop_call call;
    struct exchange *x;
    struct far *next;
};

static pthread_mutex_t far_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t far_there = PTHREAD_COND_INITIALIZER;
static struct far *far_first;
static bool far_end;

static void far_done(struct loop_call *call)
{
    struct far *far = call->arg;
    reply_text(far->x, "far\n");
    mem_free(far);
}

static void *far_main(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&far_lock);
    while (!far_end || far_first != NULL) {
        struct far *far = far_first;
        if (far == NULL) {
            pthread_cond_wait(&far_there, &far_lock);
            continue;
        }
        far_first = far->next;
        pthread_mutex_unlock(&far_lock);
        far->call.fn = far_done;
        far->call.arg = far;
        loop_post(loop, &far->call);
        pthread_mutex_lock(&far_lock);
    }
    pthread_mutex_unlock(&far_lock);
    return NULL;
}

static void far(struct exchange *x, void *arg)
{
    (void)arg;
    struct far *far_one = mem_new(1, sizeof(*far_one));
    far_one->x = x;
    pthread_mutex_lock(&far_lock);
    far_one->next = far_first;
    far_first = far_one;
    pthread_cond_signal(&far_there);
    pthread_mutex_unlock(&far_lock);
}

/* ---- written bit by bit ---- */

struct ticks {
    uv_timer_t timer;
    struct exchange *x; /* NULL: the stream is closed */
    int left;
    size_t bytes; /* of each tick */
};

static void free_ticks(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void ticks_closed(struct exchange *x, void *arg)
{
    (void)x;
    struct ticks *ticks = arg;
    uv_close((uv_handle_t *)&ticks->timer, free_ticks);
}

static void tick(uv_timer_t *timer)
{
    struct ticks *ticks = timer->data;
    static char text[8 << 20] = "tick\n";
    if (ticks->left-- > 0)
        exchange_stream_write(ticks->x, text, ticks->bytes);
    else
        exchange_stream_end(ticks->x);
}

static void stream(struct exchange *x, void *arg)
{
    (void)arg;
    const char *n = exchange_query(x, "n"), *bytes = exchange_query(x, "bytes");
    struct ticks *ticks = mem_new(1, sizeof(*ticks));
    ticks->x = x;
    ticks->left = n == NULL ? 3 : atoi(n);
    ticks->bytes = bytes == NULL ? 5 : (size_t)atoi(bytes);
    ticks->timer.data = ticks;
    uv_timer_init(loop_uv(loop), &ticks->timer);
    if (exchange_stream(x, "text/plain", ticks_closed, ticks) == 0)
        uv_timer_start(&ticks->timer, tick, 10, 10);
}

/* ---- bodies ---- */

static void echo(struct exchange *x, void *arg)
{
    (void)arg;
    size_t size;
    const unsigned char *body = exchange_body(x, &size);
    unsigned long sum = 0;
    char text[80];
    for (size_t i = 0; i < size; i++) sum = sum * 31 + body[i];
    snprintf(text, sizeof(text), "%zu %lu\n", size, sum & 0xffffffff);
    reply_text(x, text);
}

static void json(struct exchange *x, void *arg)
{
    (void)arg;
    struct json *document = exchange_json(x);
    if (document == NULL) return;
    struct buf body;
    struct json_writer w;
    buf_init(&body, 1 << 20);
    json_writer_init(&w, &body);
    json_write_value(&w, NULL, document);
    json_free(document);
    exchange_reply(x, 200, "application/json", &body);
    buf_release(&body);
}

static void big(struct exchange *x, void *arg)
{
    (void)arg;
    struct buf body;
    static char block[4096];
    buf_init(&body, 64 << 20);
    memset(block, 'b', sizeof(block));
    for (int i = 0; i < 4096; i++) buf_append(&body, block, sizeof(block));
    exchange_reply(x, 200, "text/plain", &body);
    buf_release(&body);
}

static void item(struct exchange *x, void *arg)
{
    (void)arg;
    char text[300];
    snprintf(text, sizeof(text), "%s|%s\n", exchange_parameter(x, "name"),
             exchange_parameter(x, "part"));
    reply_text(x, text);
}

/* Refuses in the head, as a wrong content type is. */
static void picky(struct exchange *x, void *arg)
{
    (void)arg;
    if (exchange_header(x, "X-Refuse") != NULL) exchange_problem(x, 415, "refused by its headers");
}

static void stats(struct exchange *x, void *arg)
{
    (void)arg;
    struct buf body;
    struct json_writer w;
    buf_init(&body, 1000);
    json_writer_init(&w, &body);
    json_write_open(&w, NULL, '{');
    json_write_int(&w, "gone", (int64_t)gone_count);
    json_write_int(&w, "slow", (int64_t)slow_count);
    json_write_int(&w, "exchanges", (int64_t)server_exchanges(server));
    json_write_int(&w, "upload_bytes", (int64_t)server_upload_bytes(server));
    json_write_close(&w, '}');
    exchange_reply(x, 200, "application/json", &body);
    buf_release(&body);
}

/* ---- the end ---- */

static void is_idle(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void on_term(uv_signal_t *handle, int number)
{
    (void)handle, (void)number;
    server_quiesce(server);
    server_when_idle(server, is_idle, NULL);
}

static const struct route routes[] = {
    {"GET", "/fast", 1, .handler = fast},
    {"GET", "/block", 1, .handler = block},
    {"GET", "/age", 1, .handler = age},
    {"GET", "/slow", 1, .handler = slow},
    {"POST", "/slow", 1, .body_max = 1000, .body_optional = true, .handler = slow},
    {"GET", "/far", 1, .handler = far},
    {"POST", "/far", 1, .body_max = 1 << 20, .handler = far},
    {"POST", "/echo", 1, .body_max = 8 << 20, .handler = echo},
    {"POST", "/json", 1, .media = (const char *const[]){"application/json", NULL},
     .body_max = 1 << 20, .handler = json},
    {"GET", "/big", 1, .handler = big},
    {"GET", "/items/{name}", 1, .handler = item},
    {"DELETE", "/items/{name}", 1, .handler = item},
    {"GET", "/items/{name}/parts/{part}", 1, .handler = item},
    {"POST", "/picky", 1, .body_max = 8 << 20, .head = picky, .handler = echo},
    {"GET", "/stats", 1, .handler = stats},
    {"GET", "/stream", 1, .handler = stream},
};

int main(int argc, char **argv)
{
    if (argc != 12) return 2;
    const char *token = argv[6];
    struct err e;
    struct server_options options = {
        .name = "http",
        .header_timeout_ns = atoll(argv[1]) * 1000000,
        .body_timeout_ns = atoll(argv[2]) * 1000000,
        .idle_timeout_ns = atoll(argv[3]) * 1000000,
        .connections_max = (unsigned)atoi(argv[4]),
        .listen = argv[5],
        .connections_peer_max = (unsigned)atoi(argv[7]),
        .trusted = argv[8],
        .upload_max = (size_t)atoll(argv[9]),
        .upload_peer_max = (size_t)atoll(argv[10]),
        .body_rate_min = atoll(argv[11]),
        .open_scopes = token[0] != '\0' ? 0 : 1,
    };
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new(&e);
    if (loop == NULL || server_new(loop, &options, &server, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    if (token[0] != '\0' && server_set_token(server, token, &e) < 0) return 1;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        server_route(server, &routes[i]);
    uv_signal_t term;
    uv_signal_init(loop_uv(loop), &term);
    uv_signal_start(&term, on_term, SIGTERM);
    pthread_t thread;
    if (pthread_create(&thread, NULL, far_main, NULL) != 0) return 1;
    if (server_start(server, &e) < 0) return 1;
    printf("%s\n", server_address(server));
    fflush(stdout);
    loop_run(loop);
    pthread_mutex_lock(&far_lock);
    far_end = true;
    pthread_cond_signal(&far_there);
    pthread_mutex_unlock(&far_lock);
    pthread_join(thread, NULL);
    server_free(server);
    uv_close((uv_handle_t *)&term, NULL);
    loop_free(loop);
    return 0;
}
