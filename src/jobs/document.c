/* A job as JSON: what was asked, where it stands, how it ended. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "state.h"

/* What the database holds was written by this program, or by one before it. */
static const struct json_limits stored_limits = {SIZE_MAX, 1 << 16};

struct json *job_stored(const char *text, struct err *e)
{
    if (text == NULL) return NULL;
    return json_parse("database", text, strlen(text), &stored_limits, JSON_KIND_OBJECT, e);
}

static void write_time(struct json_writer *w, const char *key, int64_t real_ns)
{
    char text[40];
    if (real_ns == 0) {
        json_write_null(w, key);
        return;
    }
    clock_format(real_ns, text, sizeof(text));
    json_write_string(w, key, text);
}

static void write_or_null(struct json_writer *w, const char *key, const struct json *value)
{
    if (value != NULL)
        json_write_value(w, key, value);
    else
        json_write_null(w, key);
}

/* What is said of the recipe when it is posted stands there for whoever looks later, too. */
static void write_warnings(struct json_writer *w, const struct json *request)
{
    struct recipe_warning warnings[RECIPE_WARNINGS_MAX];
    const size_t n = request != NULL ? request_warnings(request, warnings) : 0;
    json_write_open(w, "warnings", '[');
    for (size_t i = 0; i < n; i++) json_write_string(w, NULL, warnings[i].text);
    json_write_close(w, ']');
}

void job_write(const struct job_row *row, struct json_writer *w)
{
    struct json *request = job_stored(row->request, NULL),
                *judgement = job_stored(row->judgement, NULL);
    char link[64];
    snprintf(link, sizeof(link), "/admin/v1/jobs/%lld", (long long)row->id);
    json_write_int(w, "id", row->id);
    json_write_string(w, "state", job_state_name(row->state));
    json_write_string(w, "model", row->model);
    write_or_null(w, "method", json_get(request, "method"));
    write_or_null(w, "data", json_get(request, "data"));
    write_time(w, "created", row->created_ns);
    write_time(w, "started", row->started_ns);
    write_time(w, "finished", row->finished_ns);
    json_write_int(w, "attempts", row->attempts);
    if (row->version > 0)
        json_write_int(w, "version", row->version);
    else
        json_write_null(w, "version");
    if (row->reason != NULL)
        json_write_string(w, "reason", row->reason);
    else
        json_write_null(w, "reason");
    write_or_null(w, "judgement", judgement);
    write_or_null(w, "request", request);
    write_warnings(w, request);
    json_write_string(w, "href", link);
    json_free(request);
    json_free(judgement);
}
