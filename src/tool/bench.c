/* `autodidact bench`: images a second on this machine, as the best of three rounds.
 *
 * Inference: one batch over all threads, as the server's idle workers help with a lone one.
 * Training: one batch over all threads, forward to SGD step; images are noise, which costs the
 * same. FLOP are counted as two a multiply-accumulate, a training step as three forward passes.
 *
 * Memory is said three times: what the weights take (in training with gradients and momentum), what
 * the activations and scratch of all threads take, and the largest resident set that the process
 * has had. The last never falls, so of several batch sizes it says the largest so far. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench_profile.h"
#include "nn/grad.h"
#include "nn/plan.h"
#include "options.h"
#include "tool.h"
#include "train/objective.h"
#include "train/optimizer.h"

enum { ROUNDS = 3, BATCHES_MAX = 32, BATCH_MAX = 65536, SECONDS_MAX = 3600 };

struct command {
    const char *path, *batch, *exits, *profile;
    const struct method *method; /* of training; NULL: by the exits */
    int64_t width, classes, threads;
    double seconds; /* that a round lasts at least */
    bool train, json;
    struct tool_plan plan;
};

struct bench {
    const struct command *command;
    struct tool_net n;
    struct pool *pool;
    unsigned threads, heads; /* heads: bit i set when the head of exit i is computed */
    int sections;            /* how many of them are computed */
    float *params;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    const char *method = NULL;
    *c = (struct command){.exits = "deepest", .plan = TOOL_PLAN_DEFAULT, .seconds = 0.5};
    const struct option_row rows[] = {
        {"batch", OPTION_STRING, "N,N,...", &c->batch, NULL,
         "images a batch (1,8,32,128; with --train 128)"},
        {"exits", OPTION_STRING, "WHICH", &c->exits, NULL,
         "deepest, all, or 1..N: up to this one, its head only (deepest)"},
        {"train", OPTION_FLAG, NULL, &c->train, NULL,
         "training steps (deepest: baseline, all: dsn)"},
        {"method", OPTION_STRING, "M", &method, NULL,
         "of them, with its exits and losses: baseline, dsn or byot"},
        {"profile", OPTION_STRING, "BY", &c->profile, NULL,
         "what their time goes to, by kind of operation or by kind and shape (kind, shape)"},
        {"width", OPTION_INT, "W", &c->width, NULL,
         "channels of the first stage; all others scale (the spec's own)"},
        {"classes", OPTION_INT, "N", &c->classes, NULL, "classes (the spec's own)"},
        {"threads", OPTION_INT, "N", &c->threads, NULL, "(0: all processors)"},
        {"precision", OPTION_STRING, "P", &c->plan.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->plan.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {"seconds", OPTION_REAL, "S", &c->seconds, NULL,
         "a round lasts at least so long; 0: one batch (0.5)"},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "JSON Lines"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact bench",
        "SPEC.json|MODEL [OPTION]...",
        "Prints for each batch size the milliseconds of a batch, images a second and GFLOP/s,\n"
        "the best of three rounds. All threads work on one batch. Memory: the weights (in\n"
        "training with gradients and momentum), the activations of all threads, and the\n"
        "process's largest resident set so far (peak), which with several batch sizes is that\n"
        "of the largest until then.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->path = positional[0];
    if (!(c->seconds >= 0 && c->seconds <= SECONDS_MAX)) {
        return err_set(e, ERR_USAGE, "--seconds %g: it takes a number from 0 to %d", c->seconds,
                       SECONDS_MAX);
    }
    if (c->batch == NULL) c->batch = c->train ? "128" : "1,8,32,128";
    if (c->profile != NULL &&
        (!c->train || (strcmp(c->profile, "kind") != 0 && strcmp(c->profile, "shape") != 0))) {
        return err_set(e, ERR_USAGE, "--profile %s: with --train it takes kind or shape",
                       c->profile);
    }
    if (method != NULL) {
        c->method = method_find(method);
        if (!c->train || c->method == NULL || c->method->source != METHOD_LABELS) {
            return err_set(e, ERR_USAGE,
                           "--method %s: with --train it takes a method of one network, like byot",
                           method);
        }
    }
    return tool_plan_parse(&c->plan, e);
}

static int parse_batches(const char *text, int *ret_batches, int *ret_n, struct err *e)
{
    int n = 0;
    for (const char *p = text;; p++) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v < 1 || v > BATCH_MAX || (*end != ',' && *end != '\0') ||
            n == BATCHES_MAX) {
            return err_set(e, ERR_USAGE,
                           "--batch %s: it takes up to %d numbers from 1 to %d, like 1,8,32", text,
                           BATCHES_MAX, BATCH_MAX);
        }
        ret_batches[n++] = (int)v;
        p = end;
        if (*p == '\0') break;
    }
    *ret_n = n;
    return 0;
}

static int parse_exits(struct bench *b, struct err *e)
{
    const char *text = b->command->exits;
    int n = net_sections(b->n.net);
    b->sections = n;
    b->heads = 1u << (n - 1);
    if (b->command->method != NULL) {
        b->heads = objective_exits(b->command->method, n);
        return 0;
    }
    if (strcmp(text, "deepest") == 0) return 0;
    if (strcmp(text, "all") == 0) {
        b->heads |= b->heads - 1;
        return 0;
    }
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end != '\0' || v < 1 || v > n) {
        return err_set(e, ERR_USAGE, "--exits %s: it takes deepest, all, or 1 to %d", text, n);
    }
    if (b->command->train && v != n) {
        return err_set(e, ERR_USAGE, "--exits %s: with --train it takes deepest or all", text);
    }
    b->sections = (int)v;
    b->heads = 1u << (v - 1);
    return 0;
}

static int64_t macs(const struct bench *b)
{
    int64_t sum = 0;
    for (int i = 0; i < b->sections; i++) {
        sum += net_section_cost(b->n.net, i).macs;
        if (b->heads >> i & 1) sum += net_exit_cost(b->n.net, i).macs;
    }
    return sum;
}

static void fill_noise(float *values, size_t count, uint32_t stream)
{
    struct rng r;
    rng_init(&r, 0, RNG_TEST, stream, 0);
    for (size_t i = 0; i < count; i++) values[i] = (float)(2.0 * rng_uniform(&r) - 1.0);
}

/* The largest resident set of the process so far, in bytes. It counts from the program that started
 * this one, which shares its memory until then; 0: unknown. */
static int64_t peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

/* weights, activations: bytes. */
static int print_result(const struct bench *b, int batch, double seconds, size_t weights,
                        size_t activations, struct err *e)
{
    double img_per_s = batch / seconds;
    double flop = 2.0 * (double)macs(b) * (b->command->train ? 3.0 : 1.0);
    double gflops = flop * img_per_s * 1e-9;
    if (!b->command->json) {
        printf("%6d %8u %10s %10.3f %12.1f %10.1f %12.1f %14.1f %9.1f\n", batch, b->threads,
               b->command->plan.precision, 1e3 * seconds, img_per_s, gflops, 1e-6 * (double)weights,
               1e-6 * (double)activations, 1e-6 * (double)peak_bytes());
        fflush(stdout);
        return 0;
    }
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    json_write_int(w, "batch", batch);
    json_write_int(w, "threads", b->threads);
    json_write_string(w, "precision", b->command->plan.precision);
    json_write_rounded(w, "ms", 1e3 * seconds, TOOL_DIGITS);
    json_write_rounded(w, "img_per_s", img_per_s, TOOL_DIGITS);
    json_write_rounded(w, "gflops", gflops, TOOL_DIGITS);
    json_write_int(w, "weight_bytes", (int64_t)weights);
    json_write_int(w, "activation_bytes", (int64_t)activations);
    json_write_int(w, "peak_bytes", peak_bytes());
    return tool_json_print(&json, e);
}

/* --- inference -------------------------------------------------------------------------------- */

struct inference {
    const struct bench *bench;
    struct exec **execs; /* one a thread; the first one's thread leads */
    float *input, *logits;
    int batch, repeats;
};

static void infer_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct inference *r = arg;
    const struct bench *b = r->bench;
    struct exec *exec = r->execs[0];
    size_t size = shape_size(net_input(b->n.net)) * (size_t)r->batch;
    (void)n_lanes;
    if (lane > 0) {
        static const atomic_uint calls; /* nobody calls them away */
        if (exec_join(exec)) exec_help(exec, r->execs[lane], &calls, 0);
        return;
    }
    for (int k = 0; k < r->repeats; k++) {
        memcpy(exec_input(exec, 0), r->input, size * sizeof(float));
        for (int s = 0; s < b->sections; s++) {
            exec_section(exec, s, r->batch, s > 0);
            if (b->heads >> s & 1) exec_head(exec, s, 0, r->batch, r->logits);
        }
    }
    exec_dismiss(exec);
}

static void infer(void *arg)
{
    const struct inference *r = arg;
    exec_invite(r->execs[0]); /* before any helper looks */
    pool_run(r->bench->pool, infer_lane, arg);
}

/* The number of repeats grows until a round lasts round_ns; then the best of three rounds with that
 * number, in seconds a batch. The rounds before are too short to count, but warm the caches.
 */
static double best_round(const struct command *c, void (*work)(void *arg), void *arg, int *repeats)
{
    int64_t round_ns = (int64_t)(c->seconds * (double)CLOCK_SECOND);
    double best = 0;
    *repeats = 1;
    for (int round = 0; round < ROUNDS;) {
        int64_t start = clock_now();
        work(arg);
        int64_t ns = clock_now() - start;
        if (round == 0 && ns < round_ns && *repeats < 1 << 20) {
            double factor = ns > 0 ? 1.2 * (double)round_ns / (double)ns : 16;
            int more = (int)((double)*repeats * (factor < 16 ? factor : 16));
            *repeats = more > *repeats ? more : *repeats + 1;
            continue;
        }
        double seconds = (double)ns / (double)CLOCK_SECOND / *repeats;
        if (round == 0 || seconds < best) best = seconds;
        round++;
    }
    return best;
}

static int bench_inference(struct bench *b, const struct plan *plan, int batch, struct err *e)
{
    struct inference r = {.bench = b, .batch = batch};
    size_t size = shape_size(net_input(b->n.net)) * (size_t)batch;
    size_t n_logits = (size_t)net_classes(b->n.net) * (size_t)batch;
    r.execs = mem_new(b->threads, sizeof(*r.execs));
    r.input = mem_new_aligned(size, sizeof(float));
    r.logits = mem_new_aligned(n_logits, sizeof(float));
    int rc = r.execs != NULL && r.input != NULL && r.logits != NULL ? 0 : -ENOMEM;
    for (unsigned t = 0; t < b->threads && rc == 0; t++) {
        r.execs[t] = exec_new(plan, batch, e);
        if (r.execs[t] == NULL) rc = -ENOMEM;
    }
    if (rc == 0) {
        fill_noise(r.input, size, 0);
        double seconds = best_round(b->command, infer, &r, &r.repeats);
        rc = print_result(b, batch, seconds, plan_weight_bytes(plan),
                          plan_activation_bytes(plan, batch) * b->threads, e);
    } else {
        err_set(e, rc, "out of memory for batches of %d", batch);
    }
    for (unsigned t = 0; r.execs != NULL && t < b->threads; t++) exec_free(r.execs[t]);
    mem_free(r.execs);
    mem_free(r.input);
    mem_free(r.logits);
    return rc;
}

/* --- training --------------------------------------------------------------------------------- */

struct training_bench {
    struct bench *bench;
    struct recipe recipe;
    struct grad *grad;
    struct optimizer *optimizer;
    float *dparams;
    int32_t *labels;
    int batch, repeats;
    int64_t loss_ns, update_ns; /* of all steps so far */
};

/* Called on one thread; grad and optimizer use the pool themselves. */
static void train(void *arg)
{
    struct training_bench *t = arg;
    struct bench *b = t->bench;
    const struct optimizer_step step = {.number = 1, .rate = 1e-6, .scale = 1};
    for (int k = 0; k < t->repeats; k++) {
        struct objective_batch m = {.n = t->batch,
                                    .n_exits = b->sections,
                                    .classes = net_classes(b->n.net),
                                    .features = net_feature_size(b->n.net),
                                    .targets = {.labels = t->labels}};
        grad_forward(t->grad, b->params, t->batch);
        for (int i = 0; i < b->sections; i++) {
            if ((b->heads >> i & 1) == 0) continue;
            m.logits[i] = grad_logits(t->grad, i);
            m.feature[i] = grad_features(t->grad, i);
            m.dlogits[i] = grad_dlogits(t->grad, i);
            m.dfeature[i] = grad_dfeatures(t->grad, i);
        }
        int64_t start = clock_now();
        objective_loss(&t->recipe, &m);
        t->loss_ns += clock_now() - start;
        grad_backward(t->grad, b->params, t->dparams);
        start = clock_now();
        optimizer_step(t->optimizer, &step, t->dparams, b->params);
        t->update_ns += clock_now() - start;
    }
}

/* As many steps as a round had, once more. */
static int profile_training(struct training_bench *t, struct err *e)
{
    const struct command *c = t->bench->command;
    if (grad_profile(t->grad) < 0) return err_set(e, -ENOMEM, "out of memory for times");
    t->loss_ns = t->update_ns = 0;
    train(t);
    struct bench_profile p = {t->grad,    t->bench->threads, t->repeats,
                              t->loss_ns, t->update_ns,      strcmp(c->profile, "shape") == 0};
    return bench_profile_print(&p, c->json, e);
}

static int bench_training(struct bench *b, int batch, struct err *e)
{
    const struct net *net = b->n.net;
    const struct kernels *kernels = kernels_best();
    struct training_bench t = {.bench = b, .batch = batch};
    const struct method *method = b->command->method;
    if (method == NULL) method = method_find(b->heads & (b->heads - 1) ? "dsn" : "baseline");
    recipe_default(&t.recipe, method);
    const struct grad_options options = {.exits = b->heads,
                                         .precision = b->command->plan.options.precision};
    t.grad = grad_new(net, batch, &options, b->pool, kernels, e);
    if (t.grad != NULL) t.optimizer = optimizer_new(net, &t.recipe, b->heads, b->pool, kernels, e);
    t.dparams = mem_new_aligned(net_trained_size(net), sizeof(*t.dparams));
    t.labels = mem_new((size_t)batch, sizeof(*t.labels));
    int rc = 0;
    if (t.grad == NULL || t.optimizer == NULL)
        rc = e->code;
    else if (t.dparams == NULL || t.labels == NULL)
        rc = err_set(e, -ENOMEM, "out of memory for batches of %d", batch);
    if (rc == 0) {
        fill_noise(grad_input(t.grad), shape_size(net_input(net)) * (size_t)batch, 0);
        for (int i = 0; i < batch; i++) t.labels[i] = i % net_classes(net);
        size_t weights = net_block_size(net) + 2 * net_trained_size(net);
        double seconds = best_round(b->command, train, &t, &t.repeats);
        rc = print_result(b, batch, seconds, weights * sizeof(float), grad_bytes(t.grad), e);
        if (rc == 0 && b->command->profile != NULL) rc = profile_training(&t, e);
    }
    grad_free(t.grad);
    optimizer_free(t.optimizer);
    mem_free(t.dparams);
    mem_free(t.labels);
    return rc;
}

static int measure(struct bench *b, struct err *e)
{
    int batches[BATCHES_MAX], n = 0;
    const struct net *net = b->n.net;
    struct plan *plan = NULL;
    int rc = parse_batches(b->command->batch, batches, &n, e);
    if (rc == 0) rc = parse_exits(b, e);
    if (rc < 0) return rc;
    b->pool = pool_new(b->threads);
    b->params = mem_new_aligned(net_block_size(net), sizeof(*b->params));
    if (b->pool == NULL || b->params == NULL)
        return err_set(e, -ENOMEM, "out of memory or threads");
    if (b->n.model != NULL) {
        memcpy(b->params, b->n.model->params, net_block_size(net) * sizeof(*b->params));
    } else {
        net_init_params(net, 0, b->params);
    }
    if (!b->command->train) {
        int batch_max = 1;
        for (int i = 0; i < n; i++) batch_max = batches[i] > batch_max ? batches[i] : batch_max;
        plan = tool_plan_new(net, b->params, &b->command->plan, batch_max, e);
        if (plan == NULL) return e->code;
    }
    if (!b->command->json) {
        printf("%6s %8s %10s %10s %12s %10s %12s %14s %9s\n", "batch", "threads", "precision", "ms",
               "img/s", "GFLOP/s", "weights MB", "activations MB", "peak MB");
    }
    for (int i = 0; i < n && rc == 0; i++) {
        rc = b->command->train ? bench_training(b, batches[i], e)
                               : bench_inference(b, plan, batches[i], e);
    }
    plan_free(plan);
    return rc;
}

int tool_bench(int argc, char **argv, struct err *e)
{
    struct command c;
    struct bench b = {.command = &c};
    int rc = parse(argc, argv, &c, e);
    if (rc != 0) return rc;
    rc = tool_threads(c.threads, &b.threads, e);
    if (rc == 0) rc = tool_net_open(c.path, c.width, c.classes, &b.n, e);
    if (rc < 0) return rc;
    rc = measure(&b, e);
    pool_free(b.pool);
    mem_free(b.params);
    tool_net_free(&b.n);
    return rc;
}
