/* `autodidact classify`: sends images to a daemon and shows its answers, one row an image, one
 * column a classifier. What an image is and whether it can be decoded is left to the daemon; only
 * its content type is told from the first bytes. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/http_client.h"
#include "image/format.h"
#include "options.h"
#include "tool.h"

enum { COLUMNS_MAX = 16, WAIT_MAX = 86400, NAME_MAX_SHOWN = 64, IMAGE_FILE_MAX = 64 << 20 };

struct classify {
    const char *url, *classifiers, *deadline, *min_confidence, *min_accuracy, *max_loss, *on_miss,
        *priority, *model;
    int64_t top, wait_ready;
    bool explain, json;
    char columns[COLUMNS_MAX][NAME_MAX_SHOWN];
    int n_columns;
    struct client *client;
};

/* "1,2,ensemble" -> columns; one empty column when nothing was said: the daemon's default answers.
 */
static int split_classifiers(struct classify *c, struct err *e)
{
    const char *at = c->classifiers;
    c->n_columns = 0;
    if (at == NULL) {
        c->columns[0][0] = 0;
        c->n_columns = 1;
        return 0;
    }
    for (;; at++) {
        size_t n = strcspn(at, ",");
        if (n == 0 || n >= NAME_MAX_SHOWN || c->n_columns == COLUMNS_MAX)
            return err_set(e, ERR_USAGE,
                           "--classifier takes up to %d of 1..N, deepest, ensemble, auto, "
                           "separated by commas",
                           COLUMNS_MAX);
        snprintf(c->columns[c->n_columns++], NAME_MAX_SHOWN, "%.*s", (int)n, at);
        at += n;
        if (!*at) return 0;
    }
}

/* Asks for readiness until it is given or the time is over. */
static int wait_ready(struct classify *c, struct err *e)
{
    int64_t end = clock_now() + c->wait_ready * CLOCK_SECOND;
    for (;;) {
        struct client_answer answer;
        int status =
            client_call(c->client, "GET", "/v2/health/ready", NULL, NULL, 0, 5000, &answer, e);
        if (status == 0) {
            long code = answer.status;
            client_answer_release(&answer);
            if (code == 200) return 0;
            status = err_set(e, ERR_BUSY, "%s is not ready (status %ld)", c->url, code);
        }
        if (clock_now() >= end) return status;
        usleep(50 * 1000);
    }
}

static int add_header(struct buf *lines, size_t *offsets, int *n, const char *name,
                      const char *value)
{
    if (value == NULL || !*value) return 0;
    offsets[(*n)++] = lines->size;
    int status = buf_printf(lines, "%s: %s", name, value);
    return status < 0 ? status : buf_append(lines, "", 1);
}

/* One image to one classifier. *ret_answer is the parsed body, whatever the status; json_free(). */
static int ask(struct classify *c, const char *classifier, const void *bytes, size_t size,
               struct json **ret_answer, long *ret_status, struct err *e)
{
    struct buf lines, path;
    struct client_answer answer;
    size_t offsets[8];
    const char *headers[9];
    int n = 0, status;
    buf_init(&lines, 64 * 1024);
    buf_init(&path, 1024);
    const char *type = image_format_type(image_format_of(bytes, size));
    if ((status = add_header(&lines, offsets, &n, "Content-Type", type)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-Classifier", classifier)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-Deadline-Ms", c->deadline)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-Min-Confidence", c->min_confidence)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-Min-Accuracy", c->min_accuracy)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-Max-Loss", c->max_loss)) < 0 ||
        (status = add_header(&lines, offsets, &n, "SLA-On-Miss", c->on_miss)) < 0 ||
        (status = add_header(&lines, offsets, &n, "Priority", c->priority)) < 0 ||
        (status = buf_printf(&path, "/v1/classify?top=%lld%s%s%s", (long long)c->top,
                             c->explain ? "&explain=1" : "", c->model != NULL ? "&model=" : "",
                             c->model != NULL ? c->model : "")) < 0) {
        err_set(e, status, "%s", err_text(status));
        goto out;
    }
    for (int i = 0; i < n; i++) headers[i] = lines.data + offsets[i];
    headers[n] = NULL;
    status = client_call(c->client, "POST", buf_text(&path), headers, bytes, size, 0, &answer, e);
    if (status < 0) goto out;
    struct json *body = json_parse("answer", buf_text(&answer.body), answer.body.size,
                                   &tool_answer_limits, JSON_KIND_OBJECT, NULL);
    if (body == NULL) {
        status = err_set(e, ERR_FORMAT, "%s answered %ld with something that is not a JSON object",
                         c->url, answer.status);
    } else {
        *ret_answer = body;
        *ret_status = answer.status;
    }
    client_answer_release(&answer);
out:
    buf_release(&lines);
    buf_release(&path);
    return status;
}

static const char *text_of(const struct json *answer, const char *member)
{
    const char *text = json_text(json_get(answer, member));
    return text != NULL ? text : "?";
}

/* "orange 93 %", and for a column where the daemon chose, which classifier did and why. */
static void print_cell(const struct json *answer, bool chosen, int width)
{
    char text[256];
    double confidence = json_number(json_get(answer, "confidence"), 0);
    if (chosen)
        snprintf(text, sizeof(text), "%s %.0f %% (%s, %s)", text_of(answer, "label"),
                 confidence * 100, text_of(answer, "classifier"), text_of(answer, "reason"));
    else
        snprintf(text, sizeof(text), "%s %.0f %%", text_of(answer, "label"), confidence * 100);
    printf("  %-*s", width, text);
}

/* The daemon's answer, a problem document too, and which image it is of, as one line. */
static int print_answer(const struct json *answer, const char *path, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    w->spaced = false;
    for (struct json_member m = {0}; json_next(answer, &m);) json_write_value(w, m.name, m.value);
    json_write_string(w, "image", path);
    return tool_json_print(&json, e);
}

/* One row; 0 or the first failure. An image that is refused is said and the others go on. */
static int classify_image(struct classify *c, const char *path, int name_width, int cell_width,
                          struct err *e)
{
    char *bytes = NULL;
    size_t size;
    int status = file_read(path, IMAGE_FILE_MAX, &bytes, &size, e);
    if (status < 0) return status;
    if (!c->json) printf("%-*s", name_width, path);
    for (int i = 0; i < c->n_columns && status == 0; i++) {
        struct json *answer = NULL;
        long code = 0;
        status = ask(c, c->columns[i], bytes, size, &answer, &code, e);
        if (status < 0) break;
        if (c->json) status = print_answer(answer, path, e);
        if (status == 0 && code != 200)
            status = err_set(e, ERR_FORMAT, "%s: %ld %s", path, code, text_of(answer, "detail"));
        else if (status == 0 && !c->json)
            print_cell(answer,
                       !c->columns[i][0] || strcmp(c->columns[i], "auto") == 0 ||
                           c->deadline != NULL,
                       cell_width);
        json_free(answer);
    }
    if (!c->json) putchar('\n');
    mem_free(bytes);
    return status;
}

int tool_classify(int argc, char **argv, struct err *e)
{
    struct classify c = {.url = "http://127.0.0.1:8080", .top = 1, .wait_ready = 0};
    const struct option_row rows[] = {
        {"url", OPTION_STRING, "URL", &c.url, NULL,
         "the daemon's address, default http://127.0.0.1:8080"},
        {"model", OPTION_STRING, "NAME", &c.model, NULL, "which model, default the daemon's"},
        {"classifier", OPTION_STRING, "LIST", &c.classifiers, NULL,
         "1..N, deepest, ensemble or auto; several, separated by commas, give a column each"},
        {"deadline-ms", OPTION_STRING, "MS", &c.deadline, NULL,
         "the answer is wanted within so many ms"},
        {"min-confidence", OPTION_STRING, "P", &c.min_confidence, NULL,
         "the first classifier whose confidence reaches P (0..1)"},
        {"min-accuracy", OPTION_STRING, "P", &c.min_accuracy, NULL,
         "no classifier whose held-out accuracy is below P (0..1)"},
        {"max-loss", OPTION_STRING, "X", &c.max_loss, NULL,
         "the cheapest answer that costs at most so much accuracy (0..1)"},
        {"on-miss", OPTION_STRING, "degrade|fail", &c.on_miss, NULL,
         "when the deadline cannot be kept"},
        {"priority", OPTION_STRING, "u=0..7", &c.priority, NULL,
         "RFC 9218 urgency, 0 is the most urgent"},
        {"top", OPTION_INT, "K", &c.top, NULL, "labels in the JSON answer, default 1"},
        {"explain", OPTION_FLAG, NULL, &c.explain, NULL, "with --json: every classifier that ran"},
        {"json", OPTION_FLAG, NULL, &c.json, NULL,
         "the daemon's answers, one line an image and classifier"},
        {"wait-ready", OPTION_INT, "SECONDS", &c.wait_ready, NULL,
         "first wait until the daemon is ready, at most so long"},
        {0},
    };
    const struct command_line line = {
        .program = "autodidact classify",
        .usage = "[OPTION]... [IMAGE]...",
        .about = "Sends JPEG or PNG files to a daemon and prints what it answers.",
        .rows = rows,
        .positional_max = argc,
    };
    int status = -ENOMEM;
    const char **images = mem_new((size_t)argc + 1, sizeof(*images));
    if (images == NULL) return err_set(e, status, "%s", err_text(status));
    status = options_parse(&line, argc, argv, images, e);
    if (status != 0) goto out;
    if (c.wait_ready < 0 || c.wait_ready > WAIT_MAX) {
        status = err_set(e, ERR_USAGE, "--wait-ready %lld: it takes 0 to %d seconds",
                         (long long)c.wait_ready, WAIT_MAX);
        goto out;
    }
    if ((status = split_classifiers(&c, e)) < 0 ||
        (status = client_new(c.url, NULL, &c.client, e)) < 0)
        goto out;
    if (c.wait_ready > 0 && (status = wait_ready(&c, e)) < 0) goto out;

    int name_width = 5, cell_width = 18, failed = 0;
    for (int i = 0; images[i] != NULL; i++) {
        int n = (int)strlen(images[i]);
        name_width = n > name_width ? n : name_width;
    }
    if (!c.json && images[0] != NULL && c.classifiers != NULL) {
        printf("%-*s", name_width, "image");
        for (int i = 0; i < c.n_columns; i++) printf("  %-*s", cell_width, c.columns[i]);
        putchar('\n');
    }
    for (int i = 0; images[i] != NULL; i++) {
        struct err problem = {0};
        int one = classify_image(&c, images[i], name_width, cell_width, &problem);
        if (one == 0) continue;
        failed = one;
        if (one == -EIO) { /* nobody there: the other images will not fare better */
            status = err_set(e, one, "%s", problem.text);
            goto out;
        }
        fprintf(stderr, "autodidact classify: %s\n", problem.text);
    }
    if (failed) status = err_set(e, failed, "not all images were classified");
out:
    client_free(c.client);
    mem_free(images);
    return status < 0 ? status : 0;
}
