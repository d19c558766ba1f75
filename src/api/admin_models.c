/* The routes of models and their versions, and which of them serves. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "api_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "handlers.h"
#include "json/write.h"

enum { DOCUMENT_MAX = 64 << 20 };

enum action { ACTION_LIST, ACTION_READ, ACTION_ACTIVATE, ACTION_ROLLBACK };

/* What a request has a store thread do. */
struct errand {
    struct store_task task; /* the first member */
    struct loop_call answer;
    struct api *api;
    struct exchange *x;
    enum action action;
    char name[VERSION_MODEL_MAX + 1];
    int64_t version;
    struct buf document;
    struct err error;
};

/* Rows come ordered by name: those of one model follow each other. They wait until all are there,
 * because which one is active stands before them. */
struct listing {
    struct api *api;
    struct json_writer w;
    struct version_row *rows;
    size_t n, capacity, models;
};

static void write_version(struct json_writer *w, const struct version_row *row)
{
    char created[40];
    clock_format(row->created_ns, created, sizeof(created));
    json_write_open(w, NULL, '{');
    json_write_int(w, "version", row->number);
    json_write_string(w, "state", row->active ? "active" : row->ready ? "ready" : "writing");
    json_write_string(w, "sha256", row->sha256);
    json_write_string(w, "source", row->source);
    json_write_string(w, "detail", row->detail);
    json_write_string(w, "created", created);
    json_write_close(w, '}');
}

/* The version that serves, and why it is another one than the active one. */
static void write_serving(struct listing *l)
{
    struct registry_stand_in stand_in;
    const char *name = l->rows[0].model;
    struct version *version = engine_version(l->api->below.engine, name);
    if (version != NULL)
        json_write_int(&l->w, "serving", version_number(version));
    else
        json_write_null(&l->w, "serving");
    version_unref(version);
    if (registry_stand_in(l->api->below.registry, name, &stand_in))
        json_write_string(&l->w, "stands_in", stand_in.reason);
}

static void write_model(struct listing *l)
{
    struct json_writer *w = &l->w;
    size_t active = 0;
    if (l->n == 0) return;
    while (active < l->n && !l->rows[active].active) active++;
    json_write_open(w, NULL, '{');
    json_write_string(w, "name", l->rows[0].model);
    if (active < l->n)
        json_write_int(w, "active", l->rows[active].number);
    else
        json_write_null(w, "active");
    write_serving(l);
    json_write_open(w, "versions", '[');
    for (size_t i = 0; i < l->n; i++) write_version(w, &l->rows[i]);
    json_write_close(w, ']');
    json_write_close(w, '}');
    l->n = 0;
    l->models++;
}

static int add_version(void *arg, const struct version_row *row)
{
    struct listing *l = arg;
    if (l->n > 0 && strcmp(l->rows[0].model, row->model) != 0) write_model(l);
    if (l->n == l->capacity) {
        size_t capacity = l->capacity > 0 ? 2 * l->capacity : 16;
        struct version_row *rows = mem_grow(l->rows, capacity, sizeof(*rows));
        if (rows == NULL) return -ENOMEM;
        l->rows = rows;
        l->capacity = capacity;
    }
    l->rows[l->n++] = *row;
    return l->w.status;
}

static void read_models(struct errand *c, struct db *db)
{
    struct listing l = {.api = c->api};
    const bool all = c->action == ACTION_LIST;
    json_writer_init(&l.w, &c->document);
    if (all) {
        json_write_open(&l.w, NULL, '{');
        json_write_open(&l.w, "models", '[');
    }
    int rc = version_table_each(db, all ? NULL : c->name, add_version, &l, &c->error);
    if (rc == 0) write_model(&l);
    if (all) {
        json_write_close(&l.w, ']');
        json_write_close(&l.w, '}');
    }
    if (rc == 0) rc = l.w.status;
    if (rc == 0 && !all && l.models == 0)
        rc = err_set(&c->error, ERR_NOT_FOUND, "there is no model %s", c->name);
    if (rc < 0 && c->error.code == 0) err_set(&c->error, rc, "the document: %s", err_text(rc));
    mem_free(l.rows);
}

static void answer(struct loop_call *call)
{
    struct errand *c = (struct errand *)(void *)((char *)call - offsetof(struct errand, answer));
    admin_answer(c->x, 200, c->error.code == 0 ? &c->document : NULL, &c->error);
    buf_release(&c->document);
    mem_free(c);
}

/* On a store thread. */
static void work(struct store_task *task, struct db *db)
{
    struct errand *c = (struct errand *)task;
    int rc = 0;
    if (c->action == ACTION_ACTIVATE)
        rc = registry_activate(c->api->below.registry, db, c->name, c->version, &c->error);
    else if (c->action == ACTION_ROLLBACK)
        rc = registry_rollback(c->api->below.registry, db, c->name, &c->version, &c->error);
    if (rc >= 0) read_models(c, db);
    loop_post(c->api->below.loop, &c->answer);
}

static void post(struct api *api, struct exchange *x, enum action action, int64_t version)
{
    const char *name = exchange_parameter(x, "name");
    if (action != ACTION_LIST && !name_is_valid(name)) {
        exchange_problem(x, 404, "there is no such model: names are " NAME_RULE);
        return;
    }
    struct errand *c = mem_new(1, sizeof(*c));
    if (c == NULL) {
        exchange_problem(x, 500, "out of memory");
        return;
    }
    buf_init(&c->document, DOCUMENT_MAX);
    c->task.run = work;
    c->answer.fn = answer;
    c->api = api;
    c->x = x;
    c->action = action;
    c->version = version;
    snprintf(c->name, sizeof(c->name), "%s", name);
    if (action == ACTION_LIST || action == ACTION_READ)
        store_post_reading(api->below.store, &c->task);
    else
        store_post(api->below.store, &c->task);
}

void admin_models_list(struct exchange *x, void *arg)
{
    post(arg, x, ACTION_LIST, 0);
}

void admin_models_get(struct exchange *x, void *arg)
{
    post(arg, x, ACTION_READ, 0);
}

void admin_models_activate(struct exchange *x, void *arg)
{
    struct json *body = exchange_json(x);
    if (body == NULL) return;
    int64_t number = json_int(json_get(body, "version"), 0);
    bool good = number > 0 && json_count(body) == 1;
    json_free(body);
    if (good)
        post(arg, x, ACTION_ACTIVATE, number);
    else
        exchange_problem(x, 400, "the body takes one member, \"version\", a whole number from 1");
}

void admin_models_rollback(struct exchange *x, void *arg)
{
    if (admin_takes_no_body(x)) post(arg, x, ACTION_ROLLBACK, 0);
}
