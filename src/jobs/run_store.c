/* The run of a job, its half on the store thread: the database, the job's directory, model files.
 *
 * What a daemon that dies leaves behind decides what the next one does: a job's state is written
 * before its process is started, the checkpoint is the trainer's, and a result that is there (it is
 * written beside and renamed) needs no training any more. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/model.h"
#include "launcher.h"
#include "state.h"

enum { SPEC_FILE_MAX = 1 << 20 };

/* ---- preparing ---- */

static int make_places(struct run *run, struct err *e)
{
    char id[32];
    snprintf(id, sizeof(id), "%lld", (long long)run->row.id);
    if (file_join(run->directory, sizeof(run->directory), run->jobs->options.directory, id) < 0 ||
        file_join(run->log, sizeof(run->log), run->directory, "log") < 0 ||
        file_join(run->result, sizeof(run->result), run->directory, "result.safetensors") < 0 ||
        file_join(run->spec, sizeof(run->spec), run->directory, "spec.json") < 0) {
        return err_set(e, ERR_LIMIT, "the path %s/%s is too long", run->jobs->options.directory,
                       id);
    }
    /* Whatever is there belongs to the job of a database that was lost. */
    int rc = run->row.started_ns == 0 ? file_remove_tree(run->directory, e) : 0;
    if (rc == 0) rc = file_make_dirs(run->directory, e);
    if (file_exists(run->result)) run->next = RUN_NOTING; /* trained already */
    return rc;
}

/* The architecture stays the one that the first attempt saw: its checkpoint belongs to it. */
static int copy_spec(struct run *run, struct err *e)
{
    char path[PATH_MAX], *text;
    size_t size;
    int rc = request_spec(run->request, run->jobs->options.spec_directory, path, sizeof(path), e);
    if (rc < 0) return rc;
    if (path[0] == '\0') {
        run->spec[0] = '\0';
        return 0;
    }
    if (file_exists(run->spec)) return 0;
    rc = file_read(path, SPEC_FILE_MAX, &text, &size, e);
    if (rc < 0) return rc;
    const struct file_piece piece = {text, size};
    rc = file_write_atomic(run->spec, &piece, 1, e);
    mem_free(text);
    return rc;
}

static void add_threads(struct run *run, struct command *command)
{
    char text[32];
    int64_t threads = json_int(json_get(run->request, "threads"), run->jobs->options.threads);
    if (threads <= 0) return;
    snprintf(text, sizeof(text), "%lld", (long long)threads);
    command_add(command, "--threads");
    command_add(command, text);
}

/* The option with the path of the version that the request's member names, if it does. */
static int add_version(struct run *run, const char *member, const char *option, struct err *e)
{
    char name[VERSION_MODEL_MAX + 1], path[PATH_MAX];
    int64_t version;
    request_version(run->request, member, name, &version);
    if (name[0] == '\0') return 0;
    int rc = registry_path(run->jobs->registry, name, version, path, sizeof(path));
    if (rc < 0) return err_set(e, rc, "the path of a version of %s is too long", name);
    command_add(&run->command, option);
    command_add(&run->command, path);
    return 0;
}

static int build_training(struct run *run, struct err *e)
{
    struct command *c = &run->command;
    int rc = launcher_add(run->jobs->options.launcher, c, e);
    if (rc < 0) {
        err_prefix(e, "the launcher");
        return rc;
    }
    command_add(c, run->jobs->options.program);
    command_add(c, "train");
    if (run->spec[0] != '\0') command_add(c, run->spec);
    command_add(c, "--data");
    command_add(c, run->data);
    request_add_options(run->request, c);
    if (json_get(run->request, "threads") == NULL) add_threads(run, c);
    rc = add_version(run, "init", "--init", e);
    if (rc == 0) rc = add_version(run, "teacher", "--teacher", e);
    if (rc < 0) return rc;
    if (run->jobs->options.choices[0] != '\0') {
        command_add(c, "--choices");
        command_add(c, run->jobs->options.choices);
    }
    command_add(c, "--out");
    command_add(c, run->result);
    command_add(c, "--resume"); /* goes on from a checkpoint if there is one */
    command_add(c, "--progress");
    command_add(c, "json");
    return c->failed ? err_set(e, -ENOMEM, "out of memory for its words, or too many of them") : 0;
}

static int prepare(struct run *run, struct err *e)
{
    run->request = job_stored(run->row.request, e);
    int rc = 0;
    if (run->request == NULL)
        rc = e->code == -ENOMEM ? e->code
                                : err_set(e, ERR_FORMAT, "what was asked for is not JSON any more");
    if (rc == 0) rc = request_check(run->request, e);
    if (rc == 0) rc = make_places(run, e);
    if (rc == 0)
        rc = request_data(run->request, run->jobs->options.data_root, run->data, sizeof(run->data),
                          e);
    if (rc == 0) rc = copy_spec(run, e);
    if (rc == 0) rc = build_training(run, e);
    return rc;
}

static void hold_up(struct run *run, const struct err *e)
{
    snprintf(run->hitch, sizeof(run->hitch), "%s", e->text[0] != '\0' ? e->text : "unknown error");
}

/* What a dead daemon left running is queued again, once. */
static int recover(struct jobs *jobs, struct db *db, struct err *e)
{
    if (jobs->recovered) return 0;
    int rc = job_table_recover(db, jobs->options.attempts_max, clock_real(), e);
    if (rc > 0) log_info("jobs: %d that the last daemon left running", rc);
    jobs->recovered = rc >= 0;
    return rc;
}

/* On a disk that takes nothing there may still be nothing to do. */
static int find_next(struct run *run, struct db *db, struct err *e)
{
    int rc = recover(run->jobs, db, e);
    return rc < 0 ? rc : job_table_next(db, &run->row, e);
}

void run_prepare(struct run *run, struct db *db)
{
    struct err e = {0};
    job_row_release(&run->row); /* of a try that was put off */
    json_free(run->request);
    run->request = NULL;
    command_release(&run->command);
    int rc = find_next(run, db, &e);
    if (rc == ERR_NOT_FOUND) {
        outcome_set(&run->outcome, OUTCOME_EMPTY, "%s", "");
        return;
    }
    if (rc < 0) {
        hold_up(run, &e);
        return;
    }
    rc = prepare(run, &e);
    if (rc == 0) {
        struct job_row *row = &run->row;
        row->state = run->next == RUN_NOTING ? JOB_EVALUATING : JOB_RUNNING;
        if (row->started_ns == 0) row->started_ns = clock_real();
        row->attempts++;
        rc = job_table_update(db, row, &e);
    }
    if (err_is_passing(rc))
        hold_up(run, &e);
    else if (rc < 0)
        outcome_set(&run->outcome, OUTCOME_FAILED_STORE, "%s", e.text);
}

/* ---- what is the result to be compared with? ---- */

static bool labels_equal(const struct model *a, const struct model *b)
{
    int n = net_classes(a->net);
    if (n != net_classes(b->net)) return false;
    for (int i = 0; i < n; i++) {
        if (strcmp(a->labels[i], b->labels[i]) != 0) return false;
    }
    return true;
}

/* Of more classes than these the figures would be longer than a line may be. */
enum { CLASSES_MAX = 2000 };

static void build_evaluation(struct run *run, struct command *c, const char *model,
                             const struct model *result)
{
    const char *const words[] = {run->jobs->options.program,
                                 "eval",
                                 model,
                                 "--data",
                                 run->data,
                                 "--split",
                                 "holdout",
                                 "--holdout-of",
                                 run->result,
                                 "--json"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) command_add(c, words[i]);
    if (net_classes(result->net) <= CLASSES_MAX) command_add(c, "--per-class");
    add_threads(run, c);
}

static int note_seen(struct run *run, const struct model *result, const struct model *serving,
                     struct err *e)
{
    bool seen = false;
    int rc = model_may_have_seen(serving, result, &seen, e);
    if (rc < 0 || !seen) return rc;
    snprintf(run->note, sizeof(run->note),
             "the serving version %lld was trained with another choice of held-out images and may "
             "have seen some of these, which is to its advantage",
             (long long)run->serving_version);
    return 0;
}

/* Whoever names one of the classifiers that the result takes away is refused from then on. */
static void note_lost(struct run *run, const struct model *result, const struct model *serving)
{
    const int exits = net_sections(serving->net);
    const size_t size = sizeof(run->note);
    size_t used = strlen(run->note);
    bool any = false;
    if (net_sections(result->net) != exits) return;
    for (int i = 0; i < exits && used < size; i++) {
        if ((result->training.untrained & ~serving->training.untrained & 1u << i) == 0) continue;
        const char *before = used > 0 ? "; " : "";
        used += (size_t)snprintf(run->note + used, size - used, "%s%s", any ? ", " : before,
                                 any ? "" : "it has not learned what answers now as classifier ");
        any = true;
        if (used < size)
            used += (size_t)snprintf(run->note + used, size - used, "%s", model_classifier_name(i));
    }
}

static int compare_with(struct run *run, const struct model *result, const struct version_row *row,
                        struct err *e)
{
    char path[PATH_MAX];
    struct model *serving;
    run->serving_version = row->number;
    int rc = registry_path(run->jobs->registry, row->model, row->number, path, sizeof(path));
    if (rc < 0) return err_set(e, rc, "the path of a version of %s is too long", row->model);
    rc = model_load(path, &serving, e);
    if (rc < 0) {
        snprintf(run->hindrance, sizeof(run->hindrance),
                 "the serving version %lld cannot be read: %.300s", (long long)row->number,
                 e->text);
        return 0;
    }
    if (!labels_equal(result, serving)) {
        snprintf(run->hindrance, sizeof(run->hindrance),
                 "it has other labels than the serving version %lld", (long long)row->number);
    } else if (run->holdout.images > 0) {
        build_evaluation(run, &run->eval_serving, path, result);
        rc = note_seen(run, result, serving, e);
    }
    if (run->hindrance[0] == '\0') note_lost(run, result, serving);
    model_free(serving);
    return rc;
}

static int note(struct run *run, struct db *db, struct err *e)
{
    struct model *result = NULL;
    struct version_row row;
    run->note[0] = '\0'; /* of a try that was put off */
    run->row.state = JOB_EVALUATING;
    int rc = job_table_update(db, &run->row, e);
    if (rc == 0) rc = model_load(run->result, &result, e);
    if (rc < 0) return rc;
    run->holdout = result->training.recipe.holdout;
    command_release(&run->command);
    if (run->holdout.images > 0) {
        build_evaluation(run, &run->command, run->result, result);
    } else {
        snprintf(run->hindrance, sizeof(run->hindrance), "no images were held out to judge it by");
        run->next = RUN_CONCLUDING;
    }
    rc = version_table_active(db, run->row.model, &row, e);
    if (rc == 0)
        rc = compare_with(run, result, &row, e);
    else if (rc == ERR_NOT_FOUND)
        rc = 0;
    model_free(result);
    if (rc == 0 && (run->command.failed || run->eval_serving.failed))
        rc = err_set(e, -ENOMEM, "out of memory");
    return rc;
}

void run_note(struct run *run, struct db *db)
{
    struct err e = {0};
    command_release(&run->eval_serving); /* of a try that was put off */
    int rc = note(run, db, &e);
    if (err_is_passing(rc))
        hold_up(run, &e);
    else if (rc < 0)
        outcome_set(&run->outcome, OUTCOME_FAILED_STORE, "%s", e.text);
}

/* ---- the end ---- */

/* The line in which the tool says what went wrong: the last one of the log, but where a launcher
 * has had the last word. */
static const char *last_words(const struct run *run, char *text)
{
    static const char tool[] = "autodidact train: ", warning[] = "autodidact train: warning: ";
    const char *last = text, *tools = NULL;
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end++ = '\0';
        last = line;
        if (strncmp(line, tool, strlen(tool)) == 0 && strncmp(line, warning, strlen(warning)) != 0)
            tools = line;
        line = end;
    }
    return run->jobs->options.launcher[0] != '\0' && tools != NULL ? tools : last;
}

/* Appends them to the reason. */
static void add_last_words(struct run *run)
{
    char text[4096];
    int fd = open(run->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    off_t size = lseek(fd, 0, SEEK_END),
          from = size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
    ssize_t n = pread(fd, text, sizeof(text) - 1, from);
    close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) n--;
    if (n <= 0) return;
    text[n] = '\0';
    outcome_add_words(&run->outcome, last_words(run, text));
}

static int set_text(char **text, const char *value)
{
    mem_free(*text);
    *text = mem_strdup(value);
    return *text != NULL ? 0 : -ENOMEM;
}

struct own_version {
    const char *detail, *sha256;
    int64_t number;
};

static int find_own(void *arg, const struct version_row *row)
{
    struct own_version *own = arg;
    if (row->ready && strcmp(row->source, "job") == 0 && strcmp(row->detail, own->detail) == 0 &&
        strcmp(row->sha256, own->sha256) == 0)
        own->number = row->number;
    return 0;
}

/* The result as a version; the one that it became already when the last daemon died after that. */
static int register_result(struct run *run, struct db *db, struct err *e)
{
    char id[32], sha[SHA256_HEX_SIZE];
    snprintf(id, sizeof(id), "%lld", (long long)run->row.id);
    struct own_version own = {id, sha, 0};
    int rc = sha256_file(run->result, MODEL_FILE_MAX, sha, e);
    if (rc == 0) rc = version_table_each(db, run->row.model, find_own, &own, e);
    if (rc < 0) return rc;
    run->row.version = own.number;
    if (own.number > 0) return 0;
    return registry_add(run->jobs->registry, db, run->row.model, run->result, "job", id,
                        &run->row.version, e);
}

/* Without those by class, which can be many; what counts of them is in the reason. */
static void write_figures(struct json_writer *w, const struct json *figures)
{
    for (struct json_member m = {0}; json_next(figures, &m);) {
        if (strcmp(m.name, "classes") != 0) json_write_value(w, m.name, m.value);
    }
}

/* The figures of the version that serves, and which it is. */
static void write_serving(const struct run *run, struct json_writer *w)
{
    if (run->serving_version == 0) {
        json_write_null(w, "serving");
        return;
    }
    json_write_open(w, "serving", '{');
    write_figures(w, run->serving_figures);
    json_write_int(w, "version", run->serving_version);
    json_write_close(w, '}');
}

static int keep_judgement(struct run *run, enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_PROMOTE] = "promoted", [VERDICT_WAIT] = "waiting", [VERDICT_REJECT] = "rejected"};
    struct buf document;
    struct json_writer w;
    buf_init(&document, 4 * EVALUATION_MAX);
    json_writer_init(&w, &document);
    json_write_open(&w, NULL, '{');
    json_write_string(&w, "verdict", names[verdict]);
    json_write_string(&w, "split", "holdout");
    json_write_int(&w, "holdout", run->holdout.images);
    json_write_seed(&w, "holdout_seed", run->holdout.seed);
    json_write_number(&w, "margin", run->jobs->options.margin);
    if (run->result_figures != NULL) {
        json_write_open(&w, "result", '{');
        write_figures(&w, run->result_figures);
        json_write_close(&w, '}');
    } else {
        json_write_null(&w, "result");
    }
    write_serving(run, &w);
    if (run->note[0] != '\0')
        json_write_string(&w, "note", run->note);
    else
        json_write_null(&w, "note");
    json_write_close(&w, '}');
    int rc = w.status < 0 ? w.status : set_text(&run->row.judgement, buf_text(&document));
    buf_release(&document);
    return rc;
}

/* A version that was activated while the result was evaluated has not been compared with it. */
static int check_serving(struct run *run, struct db *db, struct err *e)
{
    struct version_row row;
    int rc = version_table_active(db, run->row.model, &row, e);
    if (rc < 0) return rc == ERR_NOT_FOUND ? 0 : rc;
    if (row.number == run->serving_version) return 0;
    run->serving_version = row.number;
    json_free(run->serving_figures);
    run->serving_figures = NULL;
    snprintf(run->hindrance, sizeof(run->hindrance),
             "version %lld began to serve while it was evaluated", (long long)row.number);
    return 0;
}

/* Judged and, where the verdict says so, put into service. Sets the outcome on success. */
static int decide(struct run *run, struct db *db, struct err *e)
{
    int rc = check_serving(run, db, e);
    if (rc < 0) return rc;
    const struct evidence evidence = {run->result_figures,
                                      run->serving_figures,
                                      run->serving_version,
                                      request_is_manual(run->request),
                                      run->hindrance[0] != '\0' ? run->hindrance : NULL,
                                      run->jobs->options.margin};
    enum verdict verdict;
    char reason[REASON_MAX];
    rc = judge(&evidence, &verdict, reason, sizeof(reason), e);
    if (rc == 0 && keep_judgement(run, verdict) < 0) rc = err_set(e, -ENOMEM, "out of memory");
    if (rc == 0 && verdict != VERDICT_REJECT) rc = register_result(run, db, e);
    if (rc == 0 && verdict == VERDICT_PROMOTE)
        rc = registry_activate(run->jobs->registry, db, run->row.model, run->row.version, e);
    if (rc < 0) return rc;
    outcome_set(&run->outcome, verdict == VERDICT_REJECT ? OUTCOME_REJECTED : OUTCOME_SUCCEEDED,
                "%s", reason);
    return 0;
}

/* What only a run needs; the log stays. After a failure the checkpoints stay too, to be looked at.
 */
static void remove_remains(const struct run *run)
{
    static const char *const ends[] = {".ckpt", ".best.ckpt", ".lock"};
    for (size_t i = 0; run->row.state != JOB_FAILED && i < sizeof(ends) / sizeof(ends[0]); i++) {
        char path[PATH_MAX + 16];
        snprintf(path, sizeof(path), "%s%s", run->result, ends[i]);
        unlink(path);
    }
    if (run->row.version > 0) unlink(run->result); /* the registry has it */
}

/* How it ends, into the row. */
static void conclude(struct run *run)
{
    struct job_row *row = &run->row;
    struct outcome *outcome = &run->outcome;
    if (outcome->kind == OUTCOME_FAILED_EXIT) add_last_words(run);
    row->state = outcome_state(outcome->kind);
    if (outcome->kind == OUTCOME_INTERRUPTED && row->attempts > 0) row->attempts--;
    if (outcome->reason[0] != '\0' && set_text(&row->reason, outcome->reason) < 0)
        log_error("job %lld: out of memory for its reason: %s", (long long)row->id,
                  outcome->reason);
    if (job_state_is_final(row->state)) row->finished_ns = clock_real();
    run->concluded = true;
}

void run_conclude(struct run *run, struct db *db)
{
    struct err e = {0};
    const struct job_row *row = &run->row;
    int rc = run->outcome.kind == OUTCOME_OPEN ? decide(run, db, &e) : 0;
    if (err_is_passing(rc)) {
        hold_up(run, &e);
        return;
    }
    if (rc < 0) outcome_set(&run->outcome, OUTCOME_FAILED_STORE, "%s", e.text);
    if (!run->concluded) conclude(run);
    if (job_table_update(db, row, &e) < 0) {
        untold_set(&run->jobs->untold, row);
        hold_up(run, &e);
        return;
    }
    untold_clear(&run->jobs->untold);
    if (job_state_is_final(row->state)) remove_remains(run);
}
