/* Start order, signals, stop order.
 *
 *   STARTING   listeners answer (live), the store thread imports and publishes the model
 *   SERVING    ready says 200
 *   DELAYING   SIGTERM: ready says 503, answers end their connections, requests are still taken
 *   DRAINING   listeners closed; what is in flight is answered
 *   CUTTING    drain.timeout_ms is over, or a second signal: what still computes gets 503, what
 *              still uploads is hung up on
 *   then the threads are joined and everything is freed in the reverse order of its making; what
 *   hangs there, or in the loop, ends with the process (hard_stop.h)
 *
 * The loop never waits for a disk: after the start everything slow runs on the store thread. */
#include "config.h"

#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "addresses.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "api/api.h"
#include "decode/decoder.h"
#include "hard_stop.h"
#include "http/server.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "notify.h"
#include "registry/reaper.h"
#include "registry/registry.h"
#include "serve/engine.h"
#include "store/store.h"

enum { TOKEN_FILE_MAX = 8192, PATH_SIZE = 4096, SPARE_FDS = 128, HARD_STOP_MS = 15000 };

enum state { STARTING, SERVING, DELAYING, DRAINING, CUTTING };

struct daemon {
    const struct config *config;
    const struct settings *settings;
    enum state state;
    int exit_code;
    struct loop *loop;
    struct metrics *metrics;
    struct store *store;
    struct reaper *reaper;
    struct decoder *decoder;
    struct engine *engine;
    struct registry *registry;
    struct jobs *jobs;
    struct server *public, *private;
    struct api *api;
    uv_signal_t signals[3];
    uv_timer_t timer;
    bool has_handles, jobs_started, jobs_stopped, public_idle, private_idle;

    /* the start on the store thread */
    struct store_task start_task;
    struct loop_call start_call;
    struct err start_error;
    int start_status; /* models that serve, or a negative code */
};

/* ---- stop ---- */

static void begin_draining(struct daemon *d);
static void cut_short(struct daemon *d);

static void stop_when_done(struct daemon *d)
{
    if (!d->public_idle || !d->private_idle || !d->jobs_stopped) return;
    loop_stop(d->loop);
}

static void public_is_idle(void *arg)
{
    struct daemon *d = arg;
    d->public_idle = true;
    stop_when_done(d);
}

static void private_is_idle(void *arg)
{
    struct daemon *d = arg;
    d->private_idle = true;
    stop_when_done(d);
}

static void jobs_are_stopped(void *arg)
{
    struct daemon *d = arg;
    d->jobs_stopped = true;
    stop_when_done(d);
}

static void on_timer(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    if (d->state == DELAYING) {
        begin_draining(d);
    } else if (d->state == DRAINING) {
        log_warning("%zu requests are not answered after drain.timeout_ms",
                    server_exchanges(d->public) + server_exchanges(d->private));
        cut_short(d);
    } else if (d->state == CUTTING) {
        log_error("stopping hard: %zu requests and %s hang",
                  server_exchanges(d->public) + server_exchanges(d->private),
                  d->jobs_stopped ? "no job" : "a job");
        _exit(1);
    }
}

static void begin_delay(struct daemon *d)
{
    d->state = DELAYING;
    api_set_ready(d->api, false);
    server_close_connections(d->public);
    server_close_connections(d->private);
    notify_systemd("STOPPING=1");
    d->jobs_stopped = !d->jobs_started;
    if (d->jobs_started) jobs_stop(d->jobs, jobs_are_stopped, d);
}

static void begin_draining(struct daemon *d)
{
    d->state = DRAINING;
    server_quiesce(d->public);
    server_quiesce(d->private);
    uv_timer_start(&d->timer, on_timer, (uint64_t)d->config->drain_timeout_ms, 0);
    server_when_idle(d->public, public_is_idle, d);
    server_when_idle(d->private, private_is_idle, d);
}

static void cut_short(struct daemon *d)
{
    d->state = CUTTING;
    api_cancel(d->api);
    server_hang_up(d->public);
    server_hang_up(d->private);
    uv_timer_start(&d->timer, on_timer, HARD_STOP_MS, 0);
}

static void stop(struct daemon *d, int64_t delay_ms)
{
    if (d->state <= SERVING) {
        hard_stop_after(delay_ms + d->config->drain_timeout_ms + 2 * HARD_STOP_MS, "the loop");
        begin_delay(d);
        if (delay_ms > 0)
            uv_timer_start(&d->timer, on_timer, (uint64_t)delay_ms, 0);
        else
            begin_draining(d);
    } else if (d->state == DELAYING) {
        begin_draining(d);
        cut_short(d);
    } else if (d->state == DRAINING) {
        cut_short(d);
    }
}

/* Runs the loop until it is stopped and nothing is asked any more: a request that a client had half
 * sent when its listener was found idle may have been completed since. */
static void run_to_the_end(struct daemon *d)
{
    loop_run(d->loop);
    while (server_exchanges(d->public) + server_exchanges(d->private) > 0) {
        d->public_idle = d->private_idle = false;
        server_when_idle(d->public, public_is_idle, d);
        server_when_idle(d->private, private_is_idle, d);
        loop_run(d->loop);
    }
}

/* ---- signals ---- */

static int read_token(struct daemon *d, struct err *e)
{
    char *text;
    size_t size;
    int rc = file_read(d->config->admin_token_file, TOKEN_FILE_MAX, &text, &size, e);
    if (rc < 0) return rc;
    if (strlen(text) != size)
        rc = err_set(e, ERR_FORMAT, "the token holds a NUL byte");
    else
        rc = server_set_token(d->private, text, e);
    mem_free(text);
    if (rc < 0) err_prefix(e, "admin.token_file %s", d->config->admin_token_file);
    return rc;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    struct err e;
    if (number == SIGHUP) {
        if (admin_is_unix(d->config)) return;
        if (read_token(d, &e) < 0)
            log_error("%s; the token stays what it was", e.text);
        else
            log_info("admin.token_file has been read again");
        return;
    }
    log_info("%s: %s", number == SIGTERM ? "SIGTERM" : "SIGINT",
             d->state <= SERVING ? "draining" : "stopping at once");
    stop(d, number == SIGTERM ? d->config->drain_delay_ms : 0);
}

/* ---- the model ---- */

static void start_done(struct loop_call *call)
{
    struct daemon *d = call->arg;
    if (d->start_status < 0) {
        log_error("%s", d->start_error.text);
        d->exit_code = 1;
    }
    if (d->state != STARTING) return; /* told to stop meanwhile, or almost gone */
    if (d->start_status < 0) {
        stop(d, 0);
        return;
    }
    d->state = SERVING;
    jobs_start(d->jobs);
    d->jobs_started = true;
    api_set_ready(d->api, true);
    if (d->start_status > 0) {
        log_info("ready");
    } else {
        log_warning(
            "there is no model to serve: give model.file, or activate one over the admin listener");
    }
    notify_systemd("READY=1");
}

static void complain(void *arg, const char *message)
{
    (void)arg;
    log_error("%s", message);
}

/* On the store thread. */
static void start_on_store(struct store_task *task, struct db *db)
{
    struct daemon *d = (struct daemon *)((char *)task - offsetof(struct daemon, start_task));
    const char *file = d->config->model_file;
    int rc = registry_recover(d->registry, db, &d->start_error);
    if (rc >= 0 && file[0] != '\0') {
        rc = registry_import(d->registry, db, file, &d->start_error);
        if (rc > 0) log_info("%s was imported as a new version", file);
    }
    if (rc >= 0) rc = registry_serve(d->registry, db, complain, d, &d->start_error);
    d->start_status = rc;
    loop_post(d->loop, &d->start_call);
}

/* ---- start ---- */

/* Every connection is a descriptor; the limit that shells set is for people. */
static unsigned connection_limit(const struct config *config)
{
    struct rlimit limit;
    int64_t wanted = config->http_connection_limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return (unsigned)wanted;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
    }
    /* Two listeners, and descriptors for files. */
    int64_t possible = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 1 << 30
                           ? INT64_MAX
                           : ((int64_t)limit.rlim_cur - SPARE_FDS) / 2;
    if (possible >= wanted) return (unsigned)wanted;
    if (possible < 1) possible = 1;
    log_warning("http.connection_limit is %lld instead of %lld: the process may open %lld files",
                (long long)possible, (long long)wanted, (long long)limit.rlim_cur);
    return (unsigned)possible;
}

static int open_servers(struct daemon *d, struct err *e)
{
    const struct config *c = d->config;
    char admin[ADDRESS_MAX];
    bool derived;
    struct server_options options = {
        .name = "http",
        .listen = c->http_listen,
        .connections_max = connection_limit(c),
        .header_timeout_ns = c->http_header_timeout_ms * 1000000,
        .body_timeout_ns = c->http_body_timeout_ms * 1000000,
        .idle_timeout_ns = c->http_idle_timeout_ms * 1000000,
        .upload_max = (size_t)c->http_upload_max_bytes,
        .open_scopes = SCOPES_PUBLIC,
    };
    int rc = server_new(d->loop, &options, &d->public, e);
    if (rc < 0) return rc;
    options.name = "admin";
    options.upload_max = 0; /* small bodies, and only of who has the token */
    options.listen = admin;
    options.open_scopes = admin_is_unix(c) ? SCOPES_ALL : 0;
    rc = admin_address(c, admin, &derived, e);
    if (rc == 0) rc = server_new(d->loop, &options, &d->private, e);
    /* Where the path of the socket is not said, it follows from another option. */
    if (rc < 0 && derived) return err_prefix(e, "state.directory");
    if (rc == 0 && !admin_is_unix(c)) rc = read_token(d, e);
    return rc;
}

static enum sla_classifier default_classifier(const struct config *c)
{
    if (strcmp(c->sla_default_classifier, "ensemble") == 0) return SLA_ENSEMBLE;
    return strcmp(c->sla_default_classifier, "auto") == 0 ? SLA_AUTO : SLA_DEEPEST;
}

/* What a request may take: its images decoded from base64, and the answers of all its
 * classifiers. */
static size_t request_memory(const struct config *c)
{
    return 2 * (size_t)c->http_body_max_bytes + (size_t)c->http_images_max * ((size_t)4 << 20);
}

/* How nets are computed: the processor must have what is asked for. */
static int engine_algorithms(const struct config *c, struct engine_options *options, struct err *e)
{
    bool has_bf16 = kernels_best()->conv[CONV_BF16].forward.takes != NULL;
    bool wants = strcmp(c->engine_precision, "bf16") == 0;
    if (wants && !has_bf16)
        return err_set(
            e, ERR_UNSUPPORTED,
            "engine.precision = bf16: this processor does not have it; use auto or fp32");
    if (has_bf16 && strcmp(c->engine_precision, "fp32") != 0) options->precision = PRECISION_BF16;
    options->measure = strcmp(c->engine_algorithms, "measured") == 0;
    if (!options->measure) return 0;
    char name[64];
    snprintf(name, sizeof(name), "cache/choices-%s", cpu_isa_name(kernels_best()->isa));
    if (file_join(options->choices_path, sizeof(options->choices_path), c->state_directory, name) <
        0)
        return err_set(e, ERR_LIMIT, "state.directory is too long");
    return 0;
}

static int make_decoder(struct daemon *d, struct err *e)
{
    unsigned workers =
        d->config->engine_workers > 0 ? (unsigned)d->config->engine_workers : cpu_count();
    const struct decoder_options options = {
        .foreground = workers, .background = workers, .time_max_ns = 10 * CLOCK_SECOND};
    return decoder_new(&options, d->metrics, &d->decoder, e);
}

static int make_engine(struct daemon *d, struct err *e)
{
    const struct config *c = d->config;
    struct engine_options options;
    engine_options_default(&options);
    options.decoder = d->decoder;
    options.decode_memory_max = (size_t)c->decode_memory_max_bytes;
    options.workers = (unsigned)c->engine_workers;
    options.batch_max = (int)c->engine_batch_max;
    options.queue_max = (int)c->engine_queue_max;
    options.default_target_ns = c->sla_default_target_ms * 1000000;
    options.image_limits.bytes_max = (size_t)c->image_bytes_max;
    options.image_limits.pixels_max = (uint64_t)c->image_pixels_max;
    options.image_limits.side_max = (int)c->image_side_max;
    options.image_limits.memory_max = (size_t)c->image_memory_max;
    options.image_limits.truncated =
        strcmp(c->image_truncated, "accept") == 0 ? IMAGE_TRUNCATED_ACCEPT : IMAGE_TRUNCATED_REFUSE;
    int rc = engine_algorithms(c, &options, e);
    if (rc < 0) return rc;
    d->reaper = reaper_new(d->store);
    if (d->reaper == NULL) return err_set(e, -ENOMEM, "out of memory at start");
    options.retire = reaper_take;
    options.retire_arg = d->reaper;
    d->engine = engine_new(&options, d->metrics, e);
    if (d->engine == NULL) return e->code != 0 ? e->code : -ENOMEM;
    return 0;
}

static int make_jobs(struct daemon *d, struct err *e)
{
    const struct config *c = d->config;
    char models[PATH_SIZE], jobs[PATH_SIZE];
    struct jobs_options options;
    if (file_join(models, sizeof(models), c->state_directory, "models") < 0 ||
        file_join(jobs, sizeof(jobs), c->state_directory, "jobs") < 0)
        return err_set(e, ERR_LIMIT, "state.directory is too long");
    int rc = registry_new(models, (size_t)c->model_bytes_max, d->engine, &d->registry, e);
    if (rc < 0) return rc;
    jobs_options_default(&options);
    options.directory = jobs;
    options.program = c->train_program;
    options.data_root = c->train_data_root;
    options.spec_directory = c->model_specs;
    options.margin = c->train_margin;
    options.threads = c->train_threads;
    options.niceness = (int)c->train_niceness;
    options.queue_max = c->train_queue_max;
    options.attempts_max = c->train_attempts_max;
    options.grace_ns = c->train_grace_ms * 1000000;
    return jobs_new(d->loop, d->store, d->registry, d->metrics, &options, &d->jobs, e);
}

static int make_api(struct daemon *d, struct err *e)
{
    const struct config *c = d->config;
    const struct api_options options = {
        .fallback = default_classifier(c),
        .body_max = (size_t)c->http_body_max_bytes,
        .image_count_max = (int)c->http_images_max,
        .arena_max = request_memory(c),
    };
    const struct api_below below = {
        .loop = d->loop,
        .public_server = d->public,
        .admin_server = d->private,
        .engine = d->engine,
        .metrics = d->metrics,
        .store = d->store,
        .registry = d->registry,
        .jobs = d->jobs,
    };
    return api_new(&below, &options, &d->api, e);
}

static int make_handles(struct daemon *d, struct err *e)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    uv_loop_t *uv = loop_uv(d->loop);
    uv_timer_init(uv, &d->timer);
    d->timer.data = d;
    for (int i = 0; i < 3; i++) {
        uv_signal_init(uv, &d->signals[i]);
        d->signals[i].data = d;
    }
    d->has_handles = true;
    for (int i = 0; i < 3; i++) {
        int rc = uv_signal_start(&d->signals[i], on_signal, numbers[i]);
        if (rc < 0) return err_set(e, rc, "cannot catch signals: %s", uv_strerror(rc));
    }
    return 0;
}

static int start(struct daemon *d, struct err *e)
{
    d->metrics = metrics_new();
    if (d->metrics == NULL) return err_set(e, -ENOMEM, "out of memory at start");
    int rc = make_decoder(d, e); /* before there are threads */
    if (rc < 0) return rc;
    rc = file_make_dirs(d->config->state_directory, e);
    if (rc == 0) rc = store_open(d->config->state_directory, &d->store, e);
    if (rc < 0) {
        err_prefix(e, "state.directory");
        return rc;
    }
    addresses_remove(d->config); /* of a daemon that was killed */
    d->loop = loop_new(e);
    if (d->loop == NULL) return e->code;
    rc = make_handles(d, e);
    if (rc == 0) rc = open_servers(d, e);
    if (rc == 0) rc = make_engine(d, e);
    if (rc == 0) rc = make_jobs(d, e);
    if (rc == 0) rc = make_api(d, e);
    if (rc == 0) rc = server_start(d->public, e);
    if (rc == 0) rc = server_start(d->private, e);
    if (rc == 0)
        rc = addresses_write(d->config, server_address(d->public), server_address(d->private), e);
    if (rc < 0) return rc;
    log_info("listening: http %s, admin %s", server_address(d->public), server_address(d->private));
    d->start_call.fn = start_done;
    d->start_call.arg = d;
    d->start_task.run = start_on_store;
    store_post(d->store, &d->start_task);
    return 0;
}

/* What waits on the store thread may still need engine, registry and jobs; what the engine gives
 * back still needs the loop. */
static void release(struct daemon *d)
{
    server_free(d->public);
    server_free(d->private);
    api_free(d->api);
    if (d->reaper != NULL) reaper_close(d->reaper);
    store_close(d->store);
    engine_free(d->engine);
    decoder_free(d->decoder);
    reaper_free(d->reaper);
    jobs_free(d->jobs);
    registry_free(d->registry);
    if (d->has_handles) {
        for (int i = 0; i < 3; i++) uv_close((uv_handle_t *)&d->signals[i], NULL);
        uv_close((uv_handle_t *)&d->timer, NULL);
    }
    loop_free(d->loop);
    metrics_free(d->metrics);
}

int daemon_check(const struct config *c, struct err *e)
{
    if (!admin_is_unix(c) && c->admin_token_file[0] == '\0')
        return err_set(e, ERR_CONFLICT,
                       "admin.token_file: a file with the bearer token is needed where the admin "
                       "listener is on TCP (%s); a UNIX socket needs none",
                       c->admin_listen);
    if (!admin_is_unix(c) && access(c->admin_token_file, R_OK) != 0)
        return err_set(e, -errno, "admin.token_file %s: %s", c->admin_token_file, strerror(errno));
    if (c->model_file[0] != '\0' && access(c->model_file, R_OK) != 0)
        return err_set(e, -errno, "model.file %s: %s", c->model_file, strerror(errno));
    if (c->http_body_max_bytes > c->http_upload_max_bytes)
        return err_set(e, ERR_CONFLICT, "http.body_max_bytes is larger than http.upload_max_bytes");
    if (c->image_bytes_max > c->http_body_max_bytes)
        return err_set(e, ERR_CONFLICT, "image.bytes_max is larger than http.body_max_bytes");
    return 0;
}

int daemon_run(const struct settings *settings, const struct config *config)
{
    struct daemon d = {.config = config, .settings = settings};
    struct err e = {0};
    signal(SIGPIPE, SIG_IGN);
    umask(0077); /* what it writes, and its trainings, is its own */
    int rc = start(&d, &e);
    if (rc == 0) {
        run_to_the_end(&d);
    } else {
        settings_explain(settings, &e);
        log_error("%s", e.text);
        d.exit_code = 1;
    }
    if (rc == 0) addresses_remove(config);
    hard_stop_after(HARD_STOP_MS, "a thread that reads a file, writes one or computes");
    release(&d);
    if (rc == 0) log_info("stopped");
    return d.exit_code;
}
