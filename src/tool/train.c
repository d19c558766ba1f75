/* `autodidact train`: a spec and a data set in, a model file out.
 *
 * The loop here owns what the trainer does not know: time, signals, files. A checkpoint stands
 * beside the model (OUT.ckpt) from the first minute until the model is written; SIGTERM and SIGINT
 * end the training after the step in flight, with a checkpoint. The model says nothing about time,
 * host or paths, so that a training that was killed and resumed gives the same bytes as one that
 * was not. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "nn/plan.h"
#include "bar.h"
#include "tool.h"
#include "train.h"
#include "train/calibrate.h"
#include "train/evaluate.h"
#include "train/objective.h"

#define CHECKPOINT_NS (45 * CLOCK_SECOND)

static volatile sig_atomic_t stop_signal;

/* mpirun sends SIGTERM to all when a rank has died, whom the step in flight then waits for, and
 * ends them soon. So it is said here what there is to go on from. */
static char last_words[PATH_MAX + 160];

static void on_signal(int number)
{
    stop_signal = number;
    if (number != SIGTERM) return;
    ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)ignored;
}

/* A network whose training is over, and where it goes. */
struct result {
    const struct net *net;
    float *params;
    const char *out;
};

static enum tensor_type store_type(const struct train_session *s)
{
    return (enum tensor_type)s->command.draft.store;
}

static unsigned untrained_of(const struct train_session *s, const struct result *r)
{
    const int exits = net_sections(r->net);
    return ((1u << exits) - 1) & ~objective_learned(&s->command.draft.recipe, exits);
}

/* The logits of the held-out images; where there are none, of a few that were trained on, which say
 * no more than whether it computes. */
static int judging_logits(struct train_session *s, const struct result *r,
                          struct logits *ret_logits, struct err *e)
{
    const struct split *split = &s->split;
    const bool held_out = split->n_holdout > 0;
    const size_t few = split->n_train < EVALUATE_BATCH ? split->n_train : EVALUATE_BATCH;
    struct plan *plan = plan_new(r->net, r->params, s->kernels, e);
    if (plan == NULL) return e->code;
    struct bar bar;
    const struct evaluate_watch *watch =
        bar_begin(&bar, "looking at the held-out images", s->progress.mode == PROGRESS_BAR);
    int rc = evaluate_logits(
        plan, untrained_of(s, r), s->set, held_out ? split->holdout : split->train,
        held_out ? split->n_holdout : few, &s->preprocess, s->pool, watch, ret_logits, e);
    bar_end(&bar);
    plan_free(plan);
    return rc;
}

/* What is so far from guessing, which loses the logarithm of the number of classes (11 of 65536),
 * at the temperature that suits it best, has exploded, whether or not its numbers are finite. */
static int check_logits(const struct logits *l, struct err *e)
{
    static const double nll_max = 1000;
    for (int i = 0; i < l->n_exits; i++) {
        if ((l->untrained >> i & 1) != 0) continue;
        double nll = evaluate_figures(l, i, calibrate_temperature(l, i)).nll;
        if (nll <= nll_max) continue;
        return err_set(e, ERR_DIVERGED,
                       "it diverged: classifier %s ends with a negative log likelihood of %g",
                       model_classifier_name(i), nll);
    }
    return 0;
}

static double balanced(const struct logits *l, int classifier, struct class_count *counts)
{
    evaluate_classes(l, classifier, counts);
    return evaluate_balanced(counts, l->classes);
}

static int fill_heldout(const struct logits *l, const struct calibration *c, struct heldout *h,
                        struct err *e)
{
    struct class_count *counts = mem_new((size_t)l->classes, sizeof(*counts));
    if (counts == NULL) return err_set(e, -ENOMEM, "out of memory for %d classes", l->classes);
    h->n_exits = l->n_exits;
    h->untrained = l->untrained;
    for (int i = 0; i < l->n_exits; i++) {
        if ((l->untrained >> i & 1) != 0) continue;
        h->exits[i] = evaluate_figures(l, i, c != NULL ? c->exits[i].temperature : 1.0);
        h->balanced[i] = balanced(l, i, counts);
    }
    h->ensemble = evaluate_figures(l, MODEL_ENSEMBLE, c != NULL ? c->ensemble.temperature : 1.0);
    h->ensemble_balanced = balanced(l, MODEL_ENSEMBLE, counts);
    mem_free(counts);
    return 0;
}

/* What the first rank sees in the held-out images. */
struct look {
    struct heldout heldout;
    struct err exploded; /* of what may be the end */
};

static int look_at(struct train_session *s, const struct train_report *report,
                   const struct trainer_models *models, struct look *ret_look, struct err *e)
{
    const struct result r = {s->net, models->student, s->command.out};
    struct logits l;
    int rc = judging_logits(s, &r, &l, e);
    if (rc == ERR_DIVERGED)
        err_prefix(e, "it diverged: after step %lld (epoch %lld, learning rate %g)",
                   (long long)report->step, (long long)report->epoch, report->rate);
    if (rc < 0) return rc;
    if (train_is_due(s, report)) rc = fill_heldout(&l, NULL, &ret_look->heldout, e);
    check_logits(&l, &ret_look->exploded);
    logits_release(&l);
    return rc;
}

static int end_epoch(struct train_session *s, const struct train_report *report, struct err *e)
{
    struct look look = {0};
    int rc = 0;
    if (train_is_due(s, report) || trainer_done(s->trainer)) {
        struct trainer_models models;
        rc = trainer_models(s->trainer, &models, e);
        if (rc < 0) return rc;
        if (train_is_first(s)) rc = look_at(s, report, &models, &look, e);
        rc = ranks_settle(s->ranks, rc, e);
        if (rc < 0) return rc;
        ranks_tell(s->ranks, &look, sizeof(look));
        if (train_is_due(s, report)) rc = train_judge(s, report, &look.heldout, e);
        if (rc == 0 && train_is_over(s) && look.exploded.code < 0) { /* it becomes no checkpoint */
            *e = look.exploded;
            rc = e->code;
        }
        if (rc < 0) return rc;
    }
    progress_epoch(&s->progress, report, &look.heldout);
    train_log_epoch(s->log, report, &look.heldout);
    return rc;
}

/* What one rank has heard of, all do: to stop, and, of the first, that it is time to save. */
static void agree(struct train_session *s, bool *due, bool *stop)
{
    double flags[2] = {*due && train_is_first(s), *stop};
    ranks_sum(s->ranks, flags, 2);
    *due = flags[0] > 0;
    *stop = flags[1] > 0;
}

static int train(struct train_session *s, struct err *e)
{
    int64_t saved_ns = clock_now(), every = s->command.checkpoint_steps;
    progress_start(&s->progress, trainer_position(s->trainer));
    while (!train_is_over(s)) {
        struct train_report report;
        int rc = trainer_step(s->trainer, &report, e);
        if (rc < 0) break;
        progress_step(&s->progress, &report);
        train_log_step(s->log, &report);
        if (report.epoch_end || trainer_done(s->trainer)) rc = end_epoch(s, &report, e);
        if (rc < 0) break;
        const int number = stop_signal;
        bool due = every > 0 ? report.step % every == 0 : clock_now() - saved_ns >= CHECKPOINT_NS;
        bool stop = number != 0;
        agree(s, &due, &stop);
        if (due || report.epoch_end || train_is_over(s) || stop) {
            train_log_keep(s->log, trainer_log(s->trainer));
            if (trainer_save(s->trainer, s->checkpoint, e) < 0) break;
            saved_ns = clock_now();
        }
        if (stop && !train_is_over(s)) {
            err_set(e, ERR_CANCELLED,
                    "stopped at step %lld of %lld by signal %d: go on with --resume",
                    (long long)report.step, (long long)s->progress.steps,
                    number != 0 ? number : SIGTERM);
            break;
        }
    }
    if (e->code == 0) return 0;
    progress_clear(&s->progress);
    return e->code;
}

/* What helps, and what there is to go on from. */
static int explain_diverged(const struct train_session *s, struct err *e)
{
    const bool kept = file_exists(s->checkpoint);
    char text[ERR_TEXT_MAX];
    snprintf(text, sizeof(text), "%s", e->text);
    return err_set(e, ERR_DIVERGED,
                   "%.300s: a smaller learning rate, a longer warm-up or a bound on the gradients "
                   "helps; no model is written; "
                   "%s%.150s",
                   text, kept ? "the last good checkpoint is kept: " : "there is no checkpoint yet",
                   kept ? s->checkpoint : "");
}

/* What a device or a file system fails at may work a moment later. */
static int explain_stopped(const struct train_session *s, int code, struct err *e)
{
    char text[ERR_TEXT_MAX];
    if (!file_exists(s->checkpoint)) return code;
    snprintf(text, sizeof(text), "%s", e->text);
    return err_set(e, code,
                   "%.300s; the training goes on from the last checkpoint, %.150s, by --resume",
                   text, s->checkpoint);
}

/* A command that gives this model again; without paths, so that the file does not depend on them.
 */
static void format_command(const struct train_session *s, const struct result *r, char *ret_text,
                           size_t size)
{
    const struct spec *spec = net_spec(s->net);
    struct recipe recipe = s->command.draft.recipe;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    recipe.threads = pool_threads(s->pool);
    size_t n = recipe_texts(&recipe, texts), used = 0;
    const char *heads = recipe_choice("heads", s->command.draft.heads);
    int k = snprintf(ret_text, size, "autodidact train %s.json --data %s:DIR --width %d%s%s",
                     spec->name, dataset_kind(s->set), spec->stages[0].channels,
                     s->parent != NULL ? " --init PARENT" : "",
                     s->teacher != NULL ? " --teacher TEACHER" : "");
    if (heads != NULL && k > 0 && (size_t)k < size)
        k += snprintf(ret_text + k, size - (size_t)k, " --heads %s", heads);
    if (s->peer != NULL && k > 0 && (size_t)k < size)
        k += train_peer_format(s, r->net == s->peer, ret_text + k, size - (size_t)k);
    for (size_t i = 0; k >= 0 && used + (size_t)k < size; i++) {
        used += (size_t)k;
        if (i == n) {
            k = snprintf(ret_text + used, size - used, " --store %s",
                         recipe_choice("store", s->command.draft.store));
        } else if (i < n && texts[i].implied) {
            k = 0;
        } else if (i < n) {
            k = snprintf(ret_text + used, size - used, " --%s %s", texts[i].name, texts[i].value);
        } else {
            break;
        }
    }
}

static void fill_training(const struct train_session *s, const struct result *r,
                          const struct heldout *h, struct training *t)
{
    *t = (struct training){
        .recipe = s->command.draft.recipe, .has_figures = h->n_exits > 0, .ensemble = h->ensemble};
    t->recipe.threads = pool_threads(s->pool);
    t->untrained = untrained_of(s, r);
    t->skipped = (int64_t)dataset_skipped(s->set);
    t->border = s->split.border;
    t->lineage = s->lineage;
    memcpy(t->exits, h->exits, sizeof(t->exits));
    snprintf(t->method, sizeof(t->method), "%s", t->recipe.method->name);
    snprintf(t->data, sizeof(t->data), "%s", dataset_kind(s->set));
    snprintf(t->program, sizeof(t->program), "%s", PACKAGE_STRING);
    if (s->parent != NULL) snprintf(t->parent, sizeof(t->parent), "%s", s->parent->sha256);
    if (s->teacher != NULL) snprintf(t->teacher, sizeof(t->teacher), "%s", s->teacher->sha256);
    format_command(s, r, t->command, sizeof(t->command));
}

static void free_labels(char **labels, int n)
{
    for (int i = 0; labels != NULL && i < n; i++) mem_free(labels[i]);
    mem_free(labels);
}

static char **copy_labels(const struct dataset *set, struct err *e)
{
    int n = dataset_classes(set);
    char **labels = mem_new((size_t)n, sizeof(*labels));
    bool made = labels != NULL;
    for (int i = 0; made && i < n; i++) {
        labels[i] = mem_strdup(dataset_label(set, i));
        made = labels[i] != NULL;
    }
    if (made) return labels;
    free_labels(labels, n);
    err_set(e, -ENOMEM, "out of memory for the labels");
    return NULL;
}

/* Rounds the parameters to what the file will hold, by way of a file, so that the model is
 * calibrated as it will be served. The checkpoint still has the exact ones. */
static int round_params(struct train_session *s, const struct result *r, char **labels,
                        struct err *e)
{
    const struct calibration none = {0};
    const struct training unknown = {0};
    struct model *model;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%.*s.part", (int)sizeof(path) - 6, r->out);
    int rc = model_write(path, store_type(s), r->net, r->params, labels, &s->preprocess, &none,
                         &unknown, e);
    if (rc == 0) rc = model_load(path, &model, e);
    unlink(path);
    if (rc < 0) return rc;
    memcpy(r->params, model->params, net_block_size(r->net) * sizeof(float));
    model_free(model);
    return 0;
}

/* As it is stored. Without held-out images there are no figures. */
static int judge_result(struct train_session *s, const struct result *r,
                        struct calibration *ret_calibration, struct heldout *ret_heldout,
                        struct err *e)
{
    struct logits l;
    int rc = judging_logits(s, r, &l, e);
    if (rc < 0) return rc;
    rc = check_logits(&l, e);
    if (rc == 0 && s->split.n_holdout > 0) {
        rc = calibrate(&l, ret_calibration, e);
        if (rc == 0) rc = fill_heldout(&l, ret_calibration, ret_heldout, e);
    }
    logits_release(&l);
    return rc;
}

/* Calibrates and writes a model. */
static int write_result(struct train_session *s, const struct result *r, char **labels,
                        struct heldout *ret_heldout, struct err *e)
{
    struct calibration calibration = {0};
    struct training training;
    int rc = 0;
    if (store_type(s) != TENSOR_F32) rc = round_params(s, r, labels, e);
    if (rc == 0) rc = judge_result(s, r, &calibration, ret_heldout, e);
    if (rc < 0) return rc;
    fill_training(s, r, ret_heldout, &training);
    return model_write(r->out, store_type(s), r->net, r->params, labels, &s->preprocess,
                       &calibration, &training, e);
}

/* Writes what was trained, the peer first if it is wanted: when the model is there, all is. Then
 * the checkpoint goes. */
static int write_results(struct train_session *s, const struct trainer_models *models,
                         struct err *e)
{
    struct heldout h = {0}, peers = {0};
    const struct result student = {s->net, models->student, s->command.out},
                        peer = {s->peer, models->peer, train_peer_out(s)};
    char **labels = copy_labels(s->set, e);
    if (labels == NULL) return -ENOMEM;
    int rc = peer.out != NULL ? write_result(s, &peer, labels, &peers, e) : 0;
    if (rc == 0) rc = write_result(s, &student, labels, &h, e);
    free_labels(labels, dataset_classes(s->set));
    if (rc < 0) return rc;
    if (!s->command.keep_checkpoint) unlink(s->checkpoint);
    train_drop_best(s);
    progress_done(&s->progress, s->command.out, &h);
    return 0;
}

static int finish(struct train_session *s, struct err *e)
{
    struct trainer_models models;
    int rc = train_take_best(s, e);
    if (rc == 0) rc = trainer_models(s->trainer, &models, e);
    if (rc < 0) return rc;
    if (train_is_first(s)) rc = write_results(s, &models, e);
    return ranks_settle(s->ranks, rc, e);
}

static void warn(struct train_session *s)
{
    struct progress *p = &s->progress;
    p->n_warnings = recipe_warnings(&s->command.draft, p->warnings);
    train_holdout_warn(s);
    for (size_t i = 0; i < p->n_warnings; i++)
        fprintf(stderr, "autodidact train: warning: %s\n", p->warnings[i].text);
}

static void begin(struct train_session *s)
{
    warn(s);
    train_holdout_say(s);
    if (s->ranks == NULL) return;
    snprintf(
        last_words, sizeof(last_words),
        "autodidact train: mpirun ends the training; where a rank has died, go on from the last "
        "checkpoint, %.*s, by the same command with --resume\n",
        PATH_MAX, s->checkpoint);
}

/* Who reads the progress may go away, the training stays. A terminal that is closed stops it,
 * unless it was told (nohup) that this is none of its business. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* By all ranks; whatever goes wrong, all end with the same error. */
static int train_together(struct train_session *s, int argc, char **argv, struct err *e)
{
    int rc = train_command_parse(argc, argv, &s->command, &s->progress.mode, e);
    if (rc > 0) return rc;
    rc = ranks_settle(s->ranks, rc, e);
    if (rc < 0) return rc;
    if (!train_is_first(s)) s->progress.mode = PROGRESS_NONE;
    catch_signals();
    progress_note(&s->progress, "reading the images"); /* of a large folder: minutes */
    rc = train_session_open(s, e);
    progress_clear(&s->progress);
    const bool began = rc == 0;
    if (rc == 0 && train_is_first(s)) begin(s);
    if (rc == 0) rc = train(s, e);
    if (rc == 0) rc = finish(s, e);
    if (rc == ERR_DIVERGED)
        rc = explain_diverged(s, e);
    else if (rc < 0 && rc != ERR_CANCELLED && began)
        rc = explain_stopped(s, rc, e);
    train_session_close(s);
    return rc;
}

int tool_train(int argc, char **argv, struct err *e)
{
    struct train_session *s = mem_new(1, sizeof(*s));
    if (s == NULL) return err_set(e, -ENOMEM, "out of memory");
    int rc = ranks_open(&s->ranks, e);
    if (rc == 0) {
        rc = train_together(s, argc, argv, e);
        /* The first one says what went wrong; mpirun ends it before it could if others fail. */
        if (!train_is_first(s)) rc = 0;
        ranks_close(s->ranks);
    }
    mem_free(s);
    return rc;
}
