/* `autodidact jobs`: starts, lists, follows and cancels a daemon's training jobs. It polls, so that
 * it also survives a restart of the daemon in the middle of a job. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/http_client.h"
#include "options.h"
#include "tool.h"

enum { TOKEN_MAX = 4096, BAR_WIDTH = 30, WATCH_ERRORS_MAX = 30 };

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

/* A call whose answer is JSON; a problem document becomes an error. */
static int call(struct jobs *jobs, const char *method, const char *path, const json_t *body,
                json_t **ret_answer, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body != NULL && text == NULL) return err_set(e, -ENOMEM, "%s", err_text(-ENOMEM));
    struct client_answer answer;
    int status = client_call(jobs->client, method, path, body != NULL ? headers : NULL, text,
                             text != NULL ? strlen(text) : 0, 60000, &answer, e);
    free(text);
    if (status < 0) return status;
    json_t *json = json_loadb(buf_text(&answer.body), answer.body.size, 0, NULL);
    if (json == NULL) {
        status = err_set(e, ERR_FORMAT, "%s answered %ld with something that is not JSON",
                         jobs->admin, answer.status);
    } else if (answer.status < 200 || answer.status > 299) {
        const char *detail = json_string_value(json_object_get(json, "detail"));
        status = err_set(e, answer.status == 404 ? ERR_NOT_FOUND : ERR_CONFLICT, "%ld %s",
                         answer.status, detail != NULL ? detail : "");
        json_decref(json);
    } else {
        *ret_answer = json;
    }
    client_answer_release(&answer);
    return status;
}

static const char *text_of(const json_t *job, const char *member)
{
    const char *text = json_string_value(json_object_get(job, member));
    return text != NULL ? text : "-";
}

static void print_job(const json_t *job)
{
    const json_t *id = json_object_get(job, "id"), *progress = json_object_get(job, "progress");
    if (json_is_integer(id))
        printf("%-6lld", (long long)json_integer_value(id));
    else
        printf("%-6s", text_of(job, "id"));
    printf(" %-11s %-10s %s", text_of(job, "state"), text_of(job, "method"), text_of(job, "data"));
    if (json_is_object(progress))
        printf("  epoch %lld of %lld",
               (long long)json_integer_value(json_object_get(progress, "epoch")),
               (long long)json_integer_value(json_object_get(progress, "epochs")));
    const char *reason = json_string_value(json_object_get(job, "reason"));
    if (reason != NULL) printf("  %s", reason);
    putchar('\n');
}

static int show(struct jobs *jobs, json_t *answer, struct err *e)
{
    if (jobs->json) return tool_print_json(answer, e);
    const json_t *list = json_object_get(answer, "jobs");
    size_t i;
    const json_t *job;
    if (json_is_array(list))
        json_array_foreach (list, i, job) print_job(job);
    else
        print_job(answer);
    json_decref(answer);
    return 0;
}

/* KEY=VALUE -> a member: a number where the value reads as one, else a string. */
static int add_member(json_t *body, const char *word, struct err *e)
{
    char key[64];
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof(key))
        return err_set(e, ERR_USAGE, "\"%s\" is not KEY=VALUE, like epochs=30", word);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (!json_is_number(value) && !json_is_boolean(value)) {
        json_decref(value);
        value = json_string(equals + 1);
    }
    if (json_object_set_new(body, key, value))
        return err_set(e, ERR_USAGE, "\"%s\": the value is not UTF-8 text", word);
    return 0;
}

static int start(struct jobs *jobs, const char *const *words, struct err *e)
{
    json_t *body = json_object(), *answer;
    int status = body != NULL ? add_member(body, "kind=train", e)
                              : err_set(e, -ENOMEM, "%s", err_text(-ENOMEM));
    for (; status == 0 && *words != NULL; words++) status = add_member(body, *words, e);
    if (status == 0) status = call(jobs, "POST", "/admin/v1/jobs", body, &answer, e);
    json_decref(body);
    return status < 0 ? status : show(jobs, answer, e);
}

static bool is_over(const char *state)
{
    return strcmp(state, "queued") && strcmp(state, "running") && strcmp(state, "evaluating");
}

static void print_bar(const json_t *job)
{
    const json_t *progress = json_object_get(job, "progress");
    double step = json_number_value(json_object_get(progress, "step"));
    double steps = json_number_value(json_object_get(progress, "steps"));
    int done = steps > 0 ? (int)(BAR_WIDTH * step / steps) : 0;
    fprintf(stderr, "\r\033[K%-10s [", text_of(job, "state"));
    for (int i = 0; i < BAR_WIDTH; i++) fputc(i < done ? '#' : '.', stderr);
    fprintf(stderr, "] epoch %lld of %lld",
            (long long)json_integer_value(json_object_get(progress, "epoch")),
            (long long)json_integer_value(json_object_get(progress, "epochs")));
    double eta = json_number_value(json_object_get(progress, "eta_s"));
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
        json_t *job;
        int status = call(jobs, "GET", path, NULL, &job, e);
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
        json_decref(job);
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
        .usage = "--admin URL list | show ID | watch ID | cancel ID | start KEY=VALUE...",
        .about =
            "Training jobs of a daemon. start takes the members of POST /admin/v1/jobs, for\n"
            "example spec=resnet18 data=cifar100:/data/cifar-100-binary method=byot epochs=30.",
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

    json_t *answer;
    const char *verb = words[0];
    bool takes_id = !strcmp(verb, "show") || !strcmp(verb, "watch") || !strcmp(verb, "cancel");
    if (takes_id && (words[1] == NULL || words[2] != NULL)) {
        status = err_set(e, ERR_USAGE, "%s takes one job's ID", verb);
    } else if (takes_id && buf_printf(&path, "/admin/v1/jobs/%s%s", words[1],
                                      strcmp(verb, "cancel") ? "" : "/cancel") < 0) {
        status = err_set(e, ERR_USAGE, "%s is no job's ID", words[1]);
    } else if (!strcmp(verb, "watch")) {
        status = watch(&jobs, buf_text(&path), e);
    } else if (takes_id) {
        status =
            call(&jobs, strcmp(verb, "cancel") ? "GET" : "POST", buf_text(&path), NULL, &answer, e);
        if (status == 0) status = show(&jobs, answer, e);
    } else if (!strcmp(verb, "list") && words[1] == NULL) {
        status = call(&jobs, "GET", "/admin/v1/jobs", NULL, &answer, e);
        if (status == 0) status = show(&jobs, answer, e);
    } else if (!strcmp(verb, "start")) {
        status = start(&jobs, words + 1, e);
    } else {
        status = err_set(e, ERR_USAGE, "\"%s\" is none of list, show, watch, cancel, start", verb);
    }
out:
    client_free(jobs.client);
    mem_free(token);
    mem_free(words);
    buf_release(&path);
    return status < 0 ? status : 0;
}
