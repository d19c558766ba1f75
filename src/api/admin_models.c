/* GET /admin/v1/models and /admin/v1/models/NAME, and which version of it serves. */
#include "config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin_private.h"
#include "base/clock.h"
#include "base/mem.h"

enum action { ACTION_LIST, ACTION_READ, ACTION_ACTIVATE, ACTION_ROLLBACK };

struct model_call {
    struct store_task task;
    struct loop_call answer;
    struct admin *admin;
    struct exchange *x;
    enum action action;
    char name[VERSION_MODEL_MAX + 1];
    int64_t version;
    json_t *document;
    struct err error;
};

static json_t *version_document(const struct version_row *row)
{
    char created[40];
    clock_format(row->created_ns, created, sizeof(created));
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s}", "version", (json_int_t)row->number, "state",
                     row->active  ? "active"
                     : row->ready ? "ready"
                                  : "writing",
                     "sha256", row->sha256, "source", row->source, "detail", row->detail, "created",
                     created);
}

/* Rows come ordered by name: those of one model follow each other. */
static int add_version(void *arg, const struct version_row *row)
{
    json_t *models = arg;
    size_t n = json_array_size(models);
    json_t *model = n > 0 ? json_array_get(models, n - 1) : NULL;
    if (model == NULL ||
        strcmp(json_string_value(json_object_get(model, "name")), row->model) != 0) {
        model = json_pack("{s:s,s:n,s:[]}", "name", row->model, "active", "versions");
        if (model == NULL || json_array_append_new(models, model) < 0) return ERR_LIMIT;
    }
    if (row->active) json_object_set_new(model, "active", json_integer((json_int_t)row->number));
    return json_array_append_new(json_object_get(model, "versions"), version_document(row)) < 0
               ? ERR_LIMIT
               : 0;
}

static void read_models(struct model_call *c, struct db *db)
{
    json_t *models = json_array();
    bool all = c->action == ACTION_LIST;
    int rc = version_table_each(db, all ? NULL : c->name, add_version, models, &c->error);
    if (rc == 0 && all) {
        c->document = json_pack("{s:O}", "models", models);
    } else if (rc == 0 && json_array_size(models) == 1) {
        c->document = json_incref(json_array_get(models, 0));
    } else if (rc == 0) {
        err_set(&c->error, ERR_NOT_FOUND, "there is no model %s", c->name);
    }
    json_decref(models);
    if (c->document == NULL && c->error.code == 0) err_set(&c->error, ERR_LIMIT, "out of memory");
}

static void answer(struct loop_call *call)
{
    struct model_call *c =
        (struct model_call *)(void *)((char *)call - offsetof(struct model_call, answer));
    const struct err *error = c->document != NULL ? NULL : &c->error;
    admin_answer(c->x, 200, c->document, error);
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
    json_t *body = exchange_json(x, false);
    if (body == NULL) return;
    const json_t *version = json_object_get(body, "version");
    int64_t number = json_is_integer(version) ? json_integer_value(version) : 0;
    bool good = number > 0 && json_object_size(body) == 1;
    json_decref(body);
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
