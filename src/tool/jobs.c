/* `autodidact jobs`: submits, lists, follows and cancels a daemon's training jobs. It polls, so
 * that it also survives a restart of the daemon in the middle of a job. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/http_client.h"
#include "options.h"
#include "tool.h"

enum { TOKEN_MAX = 4096, BODY_MAX = 64 << 10, BAR_WIDTH = 30, WATCH_ERRORS_MAX = 30 };

struct jobs {
    const char *admin, *token_file;
    bool json;
    struct client *client;
};

/* The token of a file, without the line's end. */
static int read_token(const char *path, char **ret_token, struct err *e)
{
    size_t size;
    int status = file_read(path, TOKEN_MAX, ret_token, &size, e);
    if (status < 0) return status;
    (*ret_token)[strcspn(*ret_token, "\r\n")] = 0;
    return 0;
}

/* Asks the daemon for an answer in JSON, for json_free(); a problem document becomes an error. body
 * is text or NULL. */
static int ask(struct jobs *jobs, const char *method, const char *path, const char *body,
               struct json **ret_answer, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct client_answer answer;
    int status = client_call(jobs->client, method, path, body != NULL ? headers : NULL, body,
                             body != NULL ? strlen(body) : 0, 60000, &answer, e);
    if (status < 0) return status;
    struct json *json = json_parse("answer", buf_text(&answer.body), answer.body.size,
                                   &tool_answer_limits, JSON_KIND_OBJECT, NULL);
    if (json == NULL) {
        status = err_set(e, ERR_FORMAT, "%s answered %ld with something that is not JSON",
                         jobs->admin, answer.status);
    } else if (answer.status < 200 || answer.status > 299) {
        const char *detail = json_text(json_get(json, "detail"));
        status = err_set(e, answer.status == 404 ? ERR_NOT_FOUND : ERR_CONFLICT, "%ld %s",
                         answer.status, detail != NULL ? detail : "");
        json_free(json);
    } else {
        *ret_answer = json;
    }
    client_answer_release(&answer);
    return status;
}

static const char *text_of(const struct json *job, const char *member)
{
    const char *text = json_text(json_get(job, member));
    return text != NULL ? text : "-";
}

static void print_job(const struct json *job)
{
    const struct json *id = json_get(job, "id"), *progress = json_get(job, "progress");
    if (json_is(id, JSON_KIND_INT))
        printf("%-6lld", (long long)json_int(id, 0));
    else
        printf("%-6s", text_of(job, "id"));
    printf(" %-11s %-10s %s", text_of(job, "state"), text_of(job, "method"), text_of(job, "data"));
    if (json_is(progress, JSON_KIND_OBJECT))
        printf("  epoch %lld of %lld", (long long)json_int(json_get(progress, "epoch"), 0),
               (long long)json_int(json_get(progress, "epochs"), 0));
    const char *reason = json_text(json_get(job, "reason"));
    if (reason != NULL) printf("  %s", reason);
    putchar('\n');
}

/* An object of the daemon's as it is, in a line. */
static int print_object(const struct json *object, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    for (struct json_member m = {0}; json_next(object, &m);) json_write_value(w, m.name, m.value);
    return tool_json_print(&json, e);
}

/* Frees the answer. */
static int show(struct jobs *jobs, struct json *answer, struct err *e)
{
    const struct json *list = json_get(answer, "jobs");
    int status = 0;
    if (jobs->json) {
        status = print_object(answer, e);
    } else if (json_is(list, JSON_KIND_ARRAY)) {
        for (size_t i = 0; i < json_count(list); i++) print_job(json_item(list, i));
    } else {
        print_job(answer);
    }
    json_free(answer);
    return status;
}

static void print_top1(const struct json *figures)
{
    const struct json *top1 = json_get(figures, "top1");
    if (json_is(top1, JSON_KIND_INT) || json_is(top1, JSON_KIND_REAL))
        printf(" %.4f", json_number(top1, 0));
    else
        printf(" -");
}

static void print_epoch(const struct json *epoch)
{
    const struct json *exits = json_get(epoch, "exits");
    printf("epoch %lld  loss %.4f  lr %.4g  %.0f img/s",
           (long long)json_int(json_get(epoch, "epoch"), 0),
           json_number(json_get(epoch, "loss"), 0), json_number(json_get(epoch, "lr"), 0),
           json_number(json_get(epoch, "img_per_s"), 0));
    if (json_count(exits) > 0) {
        printf("  held-out top-1");
        for (size_t i = 0; i < json_count(exits); i++) print_top1(json_item(exits, i));
        printf(" ensemble");
        print_top1(json_get(epoch, "ensemble"));
    }
    putchar('\n');
}

/* The epochs that a job has behind it, a line each. Frees the answer. */
static int show_log(const struct jobs *jobs, struct json *job, struct err *e)
{
    const struct json *epochs = json_get(job, "epochs");
    int status = 0;
    for (size_t i = 0; i < json_count(epochs) && status == 0; i++) {
        if (jobs->json)
            status = print_object(json_item(epochs, i), e);
        else
            print_epoch(json_item(epochs, i));
    }
    json_free(job);
    return status;
}

/* KEY=VALUE -> a member: a number or a boolean where the value reads as one, else a string. */
static int write_member(struct json_writer *w, const char *word, struct err *e)
{
    static const struct json_limits limits = {64, 1};
    char key[64];
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof(key))
        return err_set(e, ERR_USAGE, "\"%s\" is not KEY=VALUE, like epochs=30", word);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
    struct json *value =
        json_parse("value", equals + 1, strlen(equals + 1), &limits, JSON_KIND_ANY, NULL);
    if (json_is(value, JSON_KIND_INT) || json_is(value, JSON_KIND_REAL) ||
        json_is(value, JSON_KIND_BOOL))
        json_write_value(w, key, value);
    else
        json_write_string(w, key, equals + 1);
    json_free(value);
    return w->replaced ? err_set(e, ERR_USAGE, "\"%s\" is not UTF-8 text", word) : 0;
}

static bool names_kind(const char *const *words)
{
    while (*words != NULL && strncmp(*words, "kind=", 5) != 0) words++;
    return *words != NULL;
}

static int submit(struct jobs *jobs, const char *const *words, struct err *e)
{
    struct buf body;
    struct json_writer w;
    struct json *answer = NULL;
    int status = 0;
    buf_init(&body, BODY_MAX);
    json_writer_init(&w, &body);
    json_write_open(&w, NULL, '{');
    if (!names_kind(words)) json_write_string(&w, "kind", "train");
    for (; status == 0 && *words != NULL; words++) status = write_member(&w, *words, e);
    json_write_close(&w, '}');
    if (status == 0 && w.status < 0) status = err_set(e, w.status, "%s", err_text(w.status));
    if (status == 0) status = ask(jobs, "POST", "/admin/v1/jobs", buf_text(&body), &answer, e);
    buf_release(&body);
    return status < 0 ? status : show(jobs, answer, e);
}

static bool is_over(const char *state)
{
    return strcmp(state, "queued") && strcmp(state, "running") && strcmp(state, "evaluating");
}

static void print_bar(const struct json *job)
{
    const struct json *progress = json_get(job, "progress");
    double step = json_number(json_get(progress, "step"), 0);
    double steps = json_number(json_get(progress, "steps"), 0);
    double eta = json_number(json_get(progress, "eta_s"), 0);
    int done = steps > 0 ? (int)(BAR_WIDTH * step / steps) : 0;
    fprintf(stderr, "\r\033[K%-10s [", text_of(job, "state"));
    for (int i = 0; i < BAR_WIDTH; i++) fputc(i < done ? '#' : '.', stderr);
    fprintf(stderr, "] epoch %lld of %lld", (long long)json_int(json_get(progress, "epoch"), 0),
            (long long)json_int(json_get(progress, "epochs"), 0));
    if (eta > 0) fprintf(stderr, ", %.0f s left", eta);
    fflush(stderr);
}

/* Follows a job to its end; 0 when it succeeded. A daemon that is away for a while is waited for.
 */
static int watch(struct jobs *jobs, const char *path, struct err *e)
{
    bool bar = isatty(STDERR_FILENO) && !jobs->json;
    int misses = 0;
    for (;;) {
        struct json *job;
        int status = ask(jobs, "GET", path, NULL, &job, e);
        if (status == -EIO && ++misses <= WATCH_ERRORS_MAX) {
            sleep(1);
            continue;
        }
        if (status < 0) return status;
        misses = 0;
        char state[32];
        snprintf(state, sizeof(state), "%s", text_of(job, "state"));
        if (bar) print_bar(job);
        if (is_over(state)) {
            if (bar) fputs("\r\033[K", stderr);
            status = show(jobs, job, e);
            if (status < 0 || strcmp(state, "succeeded") == 0) return status;
            return err_set(e, ERR_CONFLICT, "the job ended as %s", state);
        }
        json_free(job);
        sleep(1);
    }
}

int tool_jobs(int argc, char **argv, struct err *e)
{
    struct jobs jobs = {0};
    const struct option_row rows[] = {
        {"admin", OPTION_STRING, "URL", &jobs.admin, NULL,
         "the daemon's admin listener: unix:DIR/admin.sock or http://HOST:PORT"},
        {"token-file", OPTION_STRING, "FILE", &jobs.token_file, NULL, "the bearer token, for HTTP"},
        {"json", OPTION_FLAG, NULL, &jobs.json, NULL, "print the daemon's answers as they are"},
        {0},
    };
    const struct command_line line = {
        .program = "autodidact jobs",
        .usage = "--admin URL list | submit KEY=VALUE... | show|watch|log|cancel ID",
        .about =
            "Training jobs of a daemon. submit takes the members of POST /admin/v1/jobs, for\n"
            "example spec=resnet18 data=cifar100:/data/cifar-100-binary method=byot epochs=30.\n"
            "watch follows a job to its end; log has a line for each of its epochs.",
        .rows = rows,
        .positional_min = 1,
        .positional_max = argc,
    };
    char *token = NULL;
    struct buf path;
    buf_init(&path, 1024);
    const char **words = mem_new((size_t)argc + 1, sizeof(*words));
    int status = words != NULL ? 0 : err_set(e, -ENOMEM, "%s", err_text(-ENOMEM));
    if (status == 0) status = options_parse(&line, argc, argv, words, e);
    if (status != 0) goto out;
    if (jobs.admin == NULL) {
        status =
            err_set(e, ERR_USAGE, "--admin is missing: the daemon's log names its admin listener");
        goto out;
    }
    if (jobs.token_file != NULL && (status = read_token(jobs.token_file, &token, e)) < 0) goto out;
    if ((status = client_new(jobs.admin, token, &jobs.client, e)) < 0) goto out;

    struct json *answer;
    const char *verb = words[0];
    bool takes_id = !strcmp(verb, "show") || !strcmp(verb, "watch") || !strcmp(verb, "log") ||
                    !strcmp(verb, "cancel");
    if (takes_id && (words[1] == NULL || words[2] != NULL)) {
        status = err_set(e, ERR_USAGE, "%s takes one job's ID", verb);
    } else if (takes_id && buf_printf(&path, "/admin/v1/jobs/%s%s", words[1],
                                      strcmp(verb, "cancel") ? "" : "/cancel") < 0) {
        status = err_set(e, ERR_USAGE, "%s is no job's ID", words[1]);
    } else if (!strcmp(verb, "watch")) {
        status = watch(&jobs, buf_text(&path), e);
    } else if (takes_id) {
        status =
            ask(&jobs, strcmp(verb, "cancel") ? "GET" : "POST", buf_text(&path), NULL, &answer, e);
        if (status == 0)
            status = strcmp(verb, "log") ? show(&jobs, answer, e) : show_log(&jobs, answer, e);
    } else if (!strcmp(verb, "list") && words[1] == NULL) {
        status = ask(&jobs, "GET", "/admin/v1/jobs", NULL, &answer, e);
        if (status == 0) status = show(&jobs, answer, e);
    } else if (!strcmp(verb, "submit")) {
        status = submit(&jobs, words + 1, e);
    } else {
        status =
            err_set(e, ERR_USAGE, "\"%s\" is none of submit, list, show, watch, log, cancel", verb);
    }
out:
    client_free(jobs.client);
    mem_free(token);
    mem_free(words);
    buf_release(&path);
    return status < 0 ? status : 0;
}
