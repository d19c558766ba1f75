/* A job as JSON: what was asked, where it stands, how it ended. */
#include "config.h"

#include <stdio.h>

#include "base/clock.h"
#include "state.h"

static json_t *time_or_null(int64_t real_ns)
{
    char text[40];
    if (real_ns == 0) return json_null();
    clock_format(real_ns, text, sizeof(text));
    return json_string(text);
}

json_t *job_document(const struct job_row *row, json_t *epochs)
{
    json_t *request = json_loads(row->request, 0, NULL);
    json_t *judgement = row->judgement != NULL ? json_loads(row->judgement, 0, NULL) : NULL;
    char link[64];
    snprintf(link, sizeof(link), "/admin/v1/jobs/%lld", (long long)row->id);
    json_t *document = json_pack(
        "{s:I,s:s,s:s,s:O?,s:O?,s:o,s:o,s:o,s:I,s:o,s:s?,s:o,s:o,s:s}", "id", (json_int_t)row->id,
        "state", job_state_name(row->state), "model", row->model, "method",
        json_object_get(request, "method"), "data", json_object_get(request, "data"), "created",
        time_or_null(row->created_ns), "started", time_or_null(row->started_ns), "finished",
        time_or_null(row->finished_ns), "attempts", (json_int_t)row->attempts, "version",
        row->version > 0 ? json_integer((json_int_t)row->version) : json_null(), "reason",
        row->reason, "judgement", judgement != NULL ? judgement : json_null(), "request",
        request != NULL ? request : json_null(), "href", link);
    if (epochs == NULL) return document;
    if (document == NULL)
        json_decref(epochs);
    else
        json_object_set_new(document, "epochs", epochs);
    return document;
}
