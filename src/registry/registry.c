/* The registry: adding, importing, activating, rolling back, starting.
 *
 * Order is what makes it crash-safe. Adding: row (not ready), file in place, row ready. Activating:
 * load, check, publish, then the row; a crash before the row leaves the old version in the
 * database, which the next start serves. An import marks its row ready and current in one
 * transaction, or its SHA-256 would say "imported already" while the old version serves. */
#include "config.h"

#include "registry/registry.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/sha256.h"
#include "versions.h"

int registry_new(const char *directory, size_t bytes_max, struct engine *engine,
                 struct registry **ret_registry, struct err *e)
{
    int rc = file_make_dirs(directory, e);
    if (rc < 0) return rc;
    struct registry *registry = mem_new(1, sizeof(*registry));
    if (registry != NULL) registry->directory = mem_strdup(directory);
    if (registry == NULL || registry->directory == NULL) {
        mem_free(registry);
        return err_set(e, -ENOMEM, "%s: out of memory", directory);
    }
    registry->bytes_max = bytes_max;
    registry->engine = engine;
    *ret_registry = registry;
    return 0;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL) return;
    mem_free(registry->directory);
    mem_free(registry);
}

/* ---- publishing: the store thread waits ---- */

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;
};

/* On a compute worker. */
static void published(struct publication *publication)
{
    struct wait *wait = publication->owner;
    pthread_mutex_lock(&wait->lock);
    wait->over = true;
    pthread_cond_signal(&wait->wake);
    pthread_mutex_unlock(&wait->lock);
}

/* Takes over the model. */
static int publish(struct registry *registry, struct model *model, int64_t version, struct err *e)
{
    struct wait wait = {.over = false};
    struct publication publication = {
        .model = model, .number = version, .done = published, .owner = &wait};
    pthread_mutex_init(&wait.lock, NULL);
    pthread_cond_init(&wait.wake, NULL);
    engine_publish(registry->engine, &publication);
    pthread_mutex_lock(&wait.lock);
    while (!wait.over) pthread_cond_wait(&wait.wake, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    pthread_cond_destroy(&wait.wake);
    pthread_mutex_destroy(&wait.lock);
    if (publication.status == 0) return 0;
    err_set(e, publication.status, "version %lld of model %s cannot be put into service: %s",
            (long long)version, publication.model->name, publication.error.text);
    model_free(publication.model);
    return publication.status;
}

/* Loads a version's file and holds it against what was registered. */
static int load(const struct registry *registry, const struct version_row *row,
                struct model **ret_model, struct err *e)
{
    char path[PATH_MAX];
    struct model *model;
    if (!row->ready) {
        return err_set(e, ERR_CONFLICT, "version %lld of model %s is still being written",
                       (long long)row->number, row->model);
    }
    int rc = registry_path(registry, row->model, row->number, path, sizeof(path));
    if (rc < 0) return err_set(e, rc, "the path %s is too long", registry->directory);
    rc = model_load(path, &model, e);
    if (rc < 0) return rc;
    if (strcmp(model->sha256, row->sha256) != 0) {
        rc = err_set(e, ERR_CONFLICT,
                     "%s has changed since it was registered (SHA-256 %.12s.., was "
                     "%.12s..): restore it, or activate another version",
                     path, model->sha256, row->sha256);
        model_free(model);
        return rc;
    }
    snprintf(model->name, sizeof(model->name), "%s", row->model);
    *ret_model = model;
    return 0;
}

static int load_and_publish(struct registry *registry, const struct version_row *row, struct err *e)
{
    struct model *model;
    int rc = load(registry, row, &model, e);
    return rc < 0 ? rc : publish(registry, model, row->number, e);
}

/* ---- adding ---- */

struct completion {
    const char *name;
    int64_t version;
    bool activate;
};

static int complete(struct db *db, void *arg, struct err *e)
{
    const struct completion *c = arg;
    int rc = version_table_set_ready(db, c->name, c->version, e);
    if (rc == 0 && c->activate)
        rc = version_table_activate(db, c->name, c->version, clock_real(), e);
    return rc;
}

/* A file as it was read, whatever becomes of it then: what is checked, hashed and written are the
 * same bytes. */
struct content {
    char *bytes;
    size_t size;
    char name[MODEL_NAME_MAX + 1]; /* that it carries */
    char sha256[SHA256_HEX_SIZE];
};

static int add_content(struct registry *registry, struct db *db, const char *name,
                       const struct content *content, const char *source, const char *detail,
                       bool activate, int64_t *ret_version, struct err *e)
{
    int64_t version;
    int rc = version_table_add(db, name, content->sha256, source, detail,
                               versions_on_disk(registry, name) + 1, clock_real(), &version, e);
    if (rc < 0) return rc;
    rc = versions_write(registry, name, version, content->bytes, content->size, e);
    if (rc == 0) {
        struct completion c = {name, version, activate};
        rc = db_transaction(db, complete, &c, e);
    }
    if (rc < 0) {
        /* What fails here too, the next start repeats. */
        versions_remove(registry, name, version, NULL);
        version_table_remove(db, name, version, NULL);
        return rc;
    }
    *ret_version = version;
    return 0;
}

/* Reads a model file and sees that it is one. mem_free() the bytes, whatever is returned. */
static int read_content(const struct registry *registry, const char *path,
                        struct content *ret_content, struct err *e)
{
    struct model *model;
    *ret_content = (struct content){.bytes = NULL};
    int rc = file_read(path, registry->bytes_max, &ret_content->bytes, &ret_content->size, e);
    if (rc < 0) return rc;
    rc = model_load_bytes(ret_content->bytes, ret_content->size, &model, e);
    if (rc < 0) {
        err_prefix(e, "%s", path);
        return rc;
    }
    memcpy(ret_content->name, model->name, sizeof(ret_content->name));
    memcpy(ret_content->sha256, model->sha256, sizeof(ret_content->sha256));
    model_free(model);
    return 0;
}

/* name NULL: the one that the file carries. */
static int add_file(struct registry *registry, struct db *db, const char *name, const char *path,
                    const char *source, const char *detail, bool activate, int64_t *ret_version,
                    struct err *e)
{
    struct content content;
    int rc = read_content(registry, path, &content, e);
    if (name == NULL) name = content.name;
    if (rc == 0 && !name_is_valid(name)) {
        rc = err_set(e, ERR_RANGE, "%s: a model may not be called \"%s\" (" NAME_RULE ")", path,
                     name);
    }
    if (rc == 0)
        rc = add_content(registry, db, name, &content, source, detail, activate, ret_version, e);
    mem_free(content.bytes);
    return rc;
}

int registry_add(struct registry *registry, struct db *db, const char *name, const char *path,
                 const char *source, const char *detail, int64_t *ret_version, struct err *e)
{
    return add_file(registry, db, name, path, source, detail, false, ret_version, e);
}

int registry_import(struct registry *registry, struct db *db, const char *path, struct err *e)
{
    char sha[SHA256_HEX_SIZE];
    struct version_row last;
    int64_t version;
    int rc = sha256_file(path, registry->bytes_max, sha, e);
    if (rc < 0) return rc;
    struct err none;
    rc = version_table_last_import(db, &last, &none);
    if (rc == 0 && strcmp(last.sha256, sha) == 0) return 0;
    if (rc < 0 && rc != ERR_NOT_FOUND) return err_set(e, rc, "%s", none.text);
    rc = add_file(registry, db, NULL, path, "import", path, true, &version, e);
    return rc < 0 ? rc : 1;
}

/* ---- activation ---- */

/* The database could not take note of what has just been published: back to what it says. */
static void publish_again(struct registry *registry, struct db *db, const char *name)
{
    struct version_row row;
    if (version_table_active(db, name, &row, NULL) == 0) load_and_publish(registry, &row, NULL);
}

int registry_activate(struct registry *registry, struct db *db, const char *name, int64_t version,
                      struct err *e)
{
    struct version_row row;
    int rc = version_table_get(db, name, version, &row, e);
    if (rc < 0 || row.active) return rc;
    rc = load_and_publish(registry, &row, e);
    if (rc < 0) return rc;
    rc = version_table_activate(db, name, version, clock_real(), e);
    if (rc < 0) publish_again(registry, db, name);
    return rc;
}

int registry_rollback(struct registry *registry, struct db *db, const char *name,
                      int64_t *ret_version, struct err *e)
{
    struct version_row row;
    int rc = version_table_active(db, name, &row, e);
    if (rc < 0) return rc;
    rc = version_table_previous(db, name, &row, e);
    if (rc == ERR_NOT_FOUND) {
        if (e != NULL) e->code = ERR_CONFLICT; /* the model is there, only nothing to go back to */
        return ERR_CONFLICT;
    }
    if (rc == 0) rc = load_and_publish(registry, &row, e);
    if (rc < 0) return rc;
    rc = version_table_rollback(db, name, e);
    if (rc < 0) {
        publish_again(registry, db, name);
        return rc;
    }
    *ret_version = row.number;
    return 0;
}

/* ---- the start ---- */

struct listing {
    struct version_row *rows;
    size_t count, room;
    bool unfinished; /* which rows: those not ready, or those that are active */
};

static int list_row(void *arg, const struct version_row *row)
{
    struct listing *list = arg;
    if (list->unfinished ? row->ready : !row->active) return 0;
    if (list->count == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 16;
        struct version_row *rows = mem_grow(list->rows, room, sizeof(*rows));
        if (rows == NULL) return -ENOMEM;
        list->rows = rows;
        list->room = room;
    }
    list->rows[list->count++] = *row;
    return 0;
}

int registry_recover(struct registry *registry, struct db *db, struct err *e)
{
    struct listing list = {.unfinished = true};
    int rc = version_table_each(db, NULL, list_row, &list, e);
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        rc = versions_remove(registry, list.rows[i].model, list.rows[i].number, e);
        if (rc == 0) rc = version_table_remove(db, list.rows[i].model, list.rows[i].number, e);
    }
    mem_free(list.rows);
    return rc < 0 ? rc : versions_remove_temporary(registry, e);
}

struct serving {
    struct registry *registry;
    const struct version_row *current;
    void (*complain)(void *arg, const char *message);
    void *complain_arg;
};

/* Serves the current version of a model, or the first below it that can be. In a transaction: when
 * none can (a disk that is not mounted, say) ERR_NOT_FOUND leaves the database as it was. */
static int serve_model(struct db *db, void *arg, struct err *e)
{
    const struct serving *serving = arg;
    struct version_row row = *serving->current;
    for (;;) {
        struct err why = {0};
        int rc = load_and_publish(serving->registry, &row, &why);
        if (rc == 0) return 0;
        serving->complain(serving->complain_arg, why.text);
        rc = version_table_previous(db, row.model, &row, e);
        if (rc == 0) rc = version_table_rollback(db, row.model, e);
        if (rc < 0) return rc;
    }
}

int registry_serve(struct registry *registry, struct db *db,
                   void (*complain)(void *arg, const char *message), void *arg, struct err *e)
{
    struct listing list = {.unfinished = false};
    struct version_row last = {.model = ""};
    int served = 0, rc = version_table_each(db, NULL, list_row, &list, e);
    if (rc == 0) {
        rc = version_table_last_import(db, &last, e);
        if (rc == ERR_NOT_FOUND) rc = 0;
    }
    for (int pass = 0; pass < 2 && rc >= 0; pass++) {
        for (size_t i = 0; i < list.count && rc >= 0; i++) {
            bool first = strcmp(list.rows[i].model, last.model) == 0;
            if (first != (pass == 0)) continue;
            struct serving serving = {registry, &list.rows[i], complain, arg};
            rc = db_transaction(db, serve_model, &serving, e);
            if (rc == 0) served++;
            if (rc == ERR_NOT_FOUND) rc = 0;
        }
    }
    mem_free(list.rows);
    return rc < 0 ? rc : served;
}
