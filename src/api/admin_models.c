/* GET /admin/v1/models and /admin/v1/models/NAME, and which version of it serves. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "json/write.h"

enum { DOCUMENT_MAX = 64 << 20 };

enum action { ACTION_LIST, ACTION_READ, ACTION_ACTIVATE, ACTION_ROLLBACK };

struct model_call {
    struct store_task task;
    struct loop_call answer;
    struct admin *admin;
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

static void read_models(struct model_call *c, struct db *db)
{
    struct listing l = {.n = 0};
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
    struct model_call *c =
        (struct model_call *)(void *)((char *)call - offsetof(struct model_call, answer));
    admin_answer(c->x, 200, c->error.code == 0 ? &c->document : NULL, &c->error);
    buf_release(&c->document);
    mem_free(c);
}

/* On a store thread. */
static void run(struct store_task *task, struct db *db)
{
    struct model_call *c = (struct model_call *)task; /* the first member */
    int rc = 0;
    if (c->action == ACTION_ACTIVATE)
        rc = registry_activate(c->admin->registry, db, c->name, c->version, &c->error);
    else if (c->action == ACTION_ROLLBACK)
        rc = registry_rollback(c->admin->registry, db, c->name, &c->version, &c->error);
    if (rc >= 0) read_models(c, db);
    loop_post(c->admin->loop, &c->answer);
}

static void post(struct admin *admin, struct exchange *x, enum action action, int64_t version)
{
    const char *name = exchange_parameter(x, "name");
    if (action != ACTION_LIST && !registry_name_is_valid(name)) {
        struct err e;
        err_set(&e, ERR_NOT_FOUND, "there is no such model: names are 1 to %d of a-z 0-9 . _ -",
                VERSION_MODEL_MAX);
        admin_answer(x, 0, NULL, &e);
        return;
    }
    struct model_call *c = mem_new(1, sizeof(*c));
    if (c == NULL) {
        exchange_problem(x, 500, "out of memory");
        return;
    }
    buf_init(&c->document, DOCUMENT_MAX);
    c->task.run = run;
    c->answer.fn = answer;
    c->admin = admin;
    c->x = x;
    c->action = action;
    c->version = version;
    snprintf(c->name, sizeof(c->name), "%s", name);
    if (action == ACTION_LIST || action == ACTION_READ)
        store_post_reading(admin->store, &c->task);
    else
        store_post(admin->store, &c->task);
}

static void list(struct exchange *x, void *arg)
{
    post(arg, x, ACTION_LIST, 0);
}

static void get(struct exchange *x, void *arg)
{
    post(arg, x, ACTION_READ, 0);
}

static void activate(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    struct json *body = exchange_json(x, false);
    if (body == NULL) return;
    int64_t number = json_int(json_get(body, "version"), 0);
    bool good = number > 0 && json_count(body) == 1;
    json_free(body);
    if (good) {
        post(admin, x, ACTION_ACTIVATE, number);
        return;
    }
    struct err e;
    err_set(&e, ERR_FORMAT, "the body takes one member, \"version\", a whole number from 1");
    admin_answer(x, 0, NULL, &e);
}

static void roll_back(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    if (admin_takes_no_body(x)) post(admin, x, ACTION_ROLLBACK, 0);
}

int admin_add_models(struct admin *admin)
{
    struct server *s = admin->server;
    int rc = server_route(s, "GET", "/admin/v1/models", 0, list, admin);
    if (rc == 0) rc = server_route(s, "GET", "/admin/v1/models/{name}", 0, get, admin);
    if (rc == 0) {
        rc = server_route(s, "POST", "/admin/v1/models/{name}/activate", ADMIN_BODY_MAX, activate,
                          admin);
    }
    if (rc == 0) {
        rc = server_route(s, "POST", "/admin/v1/models/{name}/rollback", ADMIN_BODY_MAX, roll_back,
                          admin);
    }
    return rc;
}
