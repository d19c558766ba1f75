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
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "addresses.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/slice.h"
#include "api/api.h"
#include "beginning.h"
#include "check.h"
#include "decode/decoder.h"
#include "hard_stop.h"
#include "http/server.h"
#include "jobs/jobs.h"
#include "log_options.h"
#include "loop/loop.h"
#include "nn/spec.h"
#include "notify.h"
#include "reload.h"
#include "registry/reaper.h"
#include "registry/registry.h"
#include "serve/engine.h"
#include "signals.h"
#include "spare_place.h"
#include "state_place.h"
#include "store/store.h"
#include "token_file.h"

enum { SPARE_FDS = 128, HARD_STOP_MS = 15000, NOW_MS = 1000 };

/* For the last lines of the log, where nobody may read them. */
#define LOG_END_NS (2 * CLOCK_SECOND)

enum state { STARTING, SERVING, DELAYING, DRAINING, CUTTING };

struct daemon {
    struct config *config;
    struct settings *settings;
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
    struct signals signals;
    uv_timer_t timer;
    bool has_timer, jobs_started, jobs_stopped, public_idle, private_idle;
    struct beginning *beginning;
    char spare_place[SPARE_PLACE_MAX]; /* of the admin socket; "": in the state directory */
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

static void end_hard(struct daemon *d)
{
    log_error("stopping hard: %zu requests and %s hang",
              server_exchanges(d->public) + server_exchanges(d->private),
              d->jobs_stopped ? "no job" : "a job");
    addresses_remove(d->config);
    log_sink_flush(LOG_END_NS);
    _exit(1);
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
        end_hard(d);
    }
}

static void begin_delay(struct daemon *d)
{
    d->state = DELAYING;
    beginning_stop(d->beginning);
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

/* A second SIGINT: somebody sits there and waits. */
static void stop_now(struct daemon *d)
{
    if (d->state == CUTTING) end_hard(d);
    if (d->state == DELAYING) begin_draining(d);
    cut_short(d);
    uv_timer_start(&d->timer, on_timer, NOW_MS, 0);
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

/* ---- options that are live ---- */

static void set_limits(const struct config *c, struct server_options *options)
{
    options->header_timeout_ns = c->http_header_timeout_ms * CLOCK_MS;
    options->body_timeout_ns = c->http_body_timeout_ms * CLOCK_MS;
    options->idle_timeout_ns = c->http_idle_timeout_ms * CLOCK_MS;
    options->upload_max = (size_t)c->http_upload_max_bytes;
    options->connections_peer_max = (unsigned)c->http_address_connection_limit;
    options->body_rate_min = c->http_body_rate_min_bytes;
    options->upload_peer_max = (size_t)c->http_address_upload_max_bytes;
}

static enum sla_classifier default_classifier(const struct config *c)
{
    if (strcmp(c->sla_default_classifier, "ensemble") == 0) return SLA_ENSEMBLE;
    return strcmp(c->sla_default_classifier, "auto") == 0 ? SLA_AUTO : SLA_DEEPEST;
}

/* ---- signals ---- */

/* Of both: who has it may do more on the public one, too. */
static void set_token(struct daemon *d, const char *token)
{
    server_set_token(d->private, token, NULL);
    server_set_token(d->public, token, NULL);
}

static void forget_token(struct daemon *d)
{
    server_forget_token(d->private);
    server_forget_token(d->public);
}

static int read_token(struct daemon *d, struct err *e)
{
    char token[TOKEN_FILE_MAX + 1];
    int rc = token_file_read(d->config, token, e);
    if (rc == 0) set_token(d, token);
    return rc;
}

/* What other layers have of the options that are live. */
static void spread(struct daemon *d)
{
    struct server_options options = {0};
    set_limits(d->config, &options);
    server_set_limits(d->public, &options);
    options.upload_max = options.upload_peer_max = 0;
    server_set_limits(d->private, &options);
    engine_set_limits(d->engine, (int)d->config->engine_queue_max,
                      d->config->sla_default_target_ms * CLOCK_MS);
    struct shares shares;
    if (shares_parse(d->config->model_share, &shares, NULL) == 0)
        engine_set_shares(d->engine, &shares);
    api_set_fallback(d->api, default_classifier(d->config));
}

/* All or nothing: what can fail comes first. */
static int reload(struct daemon *d, struct err *e)
{
    static struct config next;
    char token[TOKEN_FILE_MAX + 1] = "";
    int rc = reload_read(d->settings, &next, e);
    if (rc < 0) return rc;
    bool has_token = token_file_is_given(&next);
    if (has_token) rc = token_file_read(&next, token, e);
    if (rc == 0) rc = log_options_change(d->config, &next, e);
    if (rc < 0) {
        settings_explain(d->settings, e);
        return rc;
    }
    int changes = reload_take(d->config, &next);
    log_options_use(d->config);
    spread(d);
    if (has_token)
        set_token(d, token);
    else
        forget_token(d);
    log_info("SIGHUP: the options have been read again: %d changed%s", changes,
             has_token ? "; so has the token" : "");
    return 0;
}

static void reload_for_systemd(struct daemon *d)
{
    char message[64];
    struct err e = {0};
    snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(clock_now() / 1000));
    if (d->state == SERVING) notify_systemd(message);
    if (reload(d, &e) < 0) log_error("SIGHUP: %s; nothing has changed", e.text);
    if (d->state == SERVING) notify_systemd("READY=1");
}

static void on_wish(void *arg, enum wish wish, const char *signal)
{
    struct daemon *d = arg;
    struct err e = {0};
    if (wish == WISH_RELOAD) {
        reload_for_systemd(d);
    } else if (wish == WISH_REOPEN) {
        if (log_sink_reopen(&e) < 0)
            log_error("SIGUSR1: the log: %s; the file that is open stays", e.text);
        else
            log_info("SIGUSR1: the log has been opened again");
    } else {
        log_info("%s: %s", signal, d->state <= SERVING ? "draining" : "stopping at once");
        if (wish == WISH_STOP && d->state > SERVING)
            stop_now(d);
        else
            stop(d, wish == WISH_DRAIN ? d->config->drain_delay_ms : 0);
    }
}

/* ---- the model ---- */

static void begun(void *arg, int models, const struct err *error)
{
    struct daemon *d = arg;
    if (models < 0) {
        log_error("%s", error->text);
        d->exit_code = 1;
    }
    if (d->state != STARTING) return; /* told to stop meanwhile, or almost gone */
    if (models < 0) {
        stop(d, 0);
        return;
    }
    d->state = SERVING;
    jobs_start(d->jobs);
    d->jobs_started = true;
    api_set_ready(d->api, true);
    if (models > 0) {
        log_info("ready");
    } else {
        log_warning(
            "there is no model to serve: give model.file, or activate one over the admin listener");
    }
    notify_systemd("READY=1");
}

static void degraded(void *arg, bool degraded)
{
    struct daemon *d = arg;
    api_set_degraded(d->api, degraded);
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
        .trusted = c->http_trusted_addresses,
        .open_scopes = SCOPES_PUBLIC,
    };
    set_limits(c, &options);
    int rc = server_new(d->loop, &options, &d->public, e);
    if (rc < 0) return rc;
    options.name = "admin";
    options.upload_max = options.upload_peer_max =
        0; /* small bodies, and only of who has the token */
    options.listen = admin;
    options.open_scopes = admin_is_unix(c) ? SCOPES_ALL : SCOPE_HEALTH;
    rc = admin_address(c, admin, &derived, e);
    if (rc == 0) rc = server_new(d->loop, &options, &d->private, e);
    /* -ENOENT: nor could the directory be made. */
    if ((err_is_disk(rc) || rc == -ENOENT) && derived) {
        log_warning("%s: the admin socket has another place for now", e->text);
        rc = spare_place_make(d->spare_place, e);
        snprintf(admin, sizeof(admin), "unix:%s/admin.sock", d->spare_place);
        if (rc == 0) rc = server_new(d->loop, &options, &d->private, e);
    }
    /* Where the path of the socket is not said, it follows from another option. */
    if (rc < 0 && derived) return state_blame(e);
    if (rc == 0 && token_file_is_given(c)) rc = read_token(d, e);
    return rc;
}

/* What a request may take: its images decoded from base64, and the answers of all its
 * classifiers. */
static size_t request_memory(const struct config *c)
{
    return 2 * (size_t)c->http_body_max_bytes + (size_t)c->http_images_max * ((size_t)4 << 20);
}

/* How nets are computed. */
static int engine_algorithms(const struct config *c, struct engine_options *options, struct err *e)
{
    int has_bf16 = check_precision(c, e);
    if (has_bf16 < 0) return has_bf16;
    if (has_bf16 && strcmp(c->engine_precision, "fp32") != 0) options->precision = PRECISION_BF16;
    options->measure = strcmp(c->engine_algorithms, "measured") == 0;
    if (!options->measure) return 0;
    char name[64];
    snprintf(name, sizeof(name), "cache/choices-%s", cpu_isa_name(kernels_best()->isa));
    return state_path(c, name, options->choices_path, e);
}

static void warn(void *arg, const char *message)
{
    (void)arg;
    log_warning("%s", message);
}

static int make_decoder(struct daemon *d, struct err *e)
{
    const struct config *c = d->config;
    unsigned helpers = (unsigned)c->decode_helpers;
    if (helpers == 0) helpers = (unsigned)c->engine_workers;
    if (helpers == 0) helpers = cpu_count();
    const struct decoder_options options = {
        .foreground = helpers,
        .background = helpers,
        .time_max_ns = c->decode_timeout_ms * CLOCK_MS,
        .sandbox = strcmp(c->decode_sandbox, "on") == 0,
        .input_max = (size_t)c->image_bytes_max,
        .output_max = (size_t)SPEC_SIDE_MAX * SPEC_SIDE_MAX * 3 * sizeof(float),
        .memory_max = (size_t)c->image_memory_max,
        .report = warn,
    };
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
    int rc = shares_parse(c->model_share, &options.shares, e);
    if (rc == 0) rc = engine_algorithms(c, &options, e);
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
    char models[PATH_MAX], jobs[PATH_MAX], choices[PATH_MAX], name[64];
    struct jobs_options options;
    snprintf(name, sizeof(name), "cache/training-%s", cpu_isa_name(kernels_best()->isa));
    int rc = state_path(c, "models", models, e);
    if (rc == 0) rc = state_path(c, "jobs", jobs, e);
    if (rc == 0) rc = state_path(c, name, choices, e);
    if (rc < 0) return rc;
    rc = registry_new(models, (size_t)c->model_bytes_max, d->engine, &d->registry, e);
    if (rc < 0) return rc;
    jobs_options_default(&options);
    options.directory = jobs;
    options.choices = choices;
    options.program = c->train_program;
    options.launcher = c->train_launcher;
    options.data_root = c->train_data_root;
    options.spec_directory = c->model_specs;
    options.margin = c->train_margin;
    options.threads = c->train_threads;
    options.niceness = (int)c->train_niceness;
    options.idle = strcmp(c->train_idle, "on") == 0;
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
        .urgency_min = (int)c->sla_urgency_min,
        .body_max = (size_t)c->http_body_max_bytes,
        .image_count_max = (int)c->http_images_max,
        .arena_max = request_memory(c),
    };
    const struct api_below below = {
        .loop = d->loop,
        .public_server = d->public,
        .admin_server = d->private,
        .decoder = d->decoder,
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
    uv_loop_t *uv = loop_uv(d->loop);
    uv_timer_init(uv, &d->timer);
    d->timer.data = d;
    d->has_timer = true;
    return signals_catch(&d->signals, uv, on_wish, d, e);
}

static int make_beginning(struct daemon *d, struct err *e)
{
    static const struct beginning_calls calls = {begun, degraded};
    return beginning_new(d->loop, d->store, d->registry, d->metrics, d->config->model_file, &calls,
                         d, &d->beginning, e);
}

static void say_slices(int64_t got_ns)
{
    if (got_ns == SLICE_SHORT_NS)
        log_info("the loop and the decoders have slices of %g ms", (double)got_ns / 1e6);
    else
        log_info("the loop and the decoders have no short slices, which Linux has from 6.12 on: "
                 "answers may wait for a processor while all compute");
}

static int start(struct daemon *d, struct err *e)
{
    d->metrics = metrics_new();
    if (d->metrics == NULL) return err_set(e, -ENOMEM, "out of memory at start");
    int rc = make_decoder(d, e); /* before there are threads, the log's included */
    if (rc == 0) rc = log_sink_start(e);
    if (rc == 0) log_info("%s", decoder_posture(d->decoder));
    if (rc == 0) rc = state_open(d->config, &d->store, e);
    if (rc < 0) return rc;
    addresses_remove(d->config); /* of a daemon that was killed */
    d->loop = loop_new(e);
    if (d->loop == NULL) return e->code;
    rc = make_handles(d, e);
    if (rc == 0) rc = open_servers(d, e);
    if (rc == 0) rc = make_engine(d, e);
    if (rc == 0) rc = make_jobs(d, e);
    if (rc == 0) rc = make_api(d, e);
    if (rc == 0) rc = make_beginning(d, e);
    if (rc == 0) rc = server_start(d->public, e);
    if (rc == 0) rc = server_start(d->private, e);
    if (rc < 0) return rc;
    say_slices(slice_set(SLICE_SHORT_NS)); /* after threads were made that would inherit them */
    log_info("listening: http %s, admin %s", server_address(d->public), server_address(d->private));
    if (addresses_write(d->config, server_address(d->public), server_address(d->private), e) < 0)
        log_warning("%s", e->text); /* for scripts; the line above has them, too */
    beginning_start(d->beginning);
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
    beginning_free(d->beginning);
    registry_free(d->registry);
    signals_close(&d->signals);
    if (d->has_timer) uv_close((uv_handle_t *)&d->timer, NULL);
    loop_free(d->loop);
    spare_place_remove(d->spare_place);
    metrics_free(d->metrics);
}

int daemon_run(struct settings *settings, struct config *config)
{
    struct daemon d = {.config = config, .settings = settings};
    struct err e = {0};
    int rc = start(&d, &e);
    if (rc == 0) {
        run_to_the_end(&d);
        addresses_remove(config);
    } else {
        settings_explain(settings, &e);
        log_error("%s", e.text);
        /* Whoever has just started it does not look into the file. */
        if (log_sink_has_file()) fprintf(stderr, "autodidactd: %s\n", e.text);
        d.exit_code = 1;
    }
    hard_stop_after(HARD_STOP_MS, "a thread that reads a file, writes one or computes");
    release(&d);
    if (rc == 0) log_info("stopped");
    log_sink_stop(LOG_END_NS);
    return d.exit_code;
}
