/* The start of the registry, which is also how it goes on after a start that could not do all:
 *
 *   recover   what a crash left half made is removed
 *   adopt     versions on the disk that the database does not know are entered, activations mended
 *   import    the file that was given becomes a version, unless it was the one imported last
 *   serve     the current version of every model is published
 *
 * An error that may pass (a full disk, short memory, a file that cannot be read) decides nothing:
 * the database keeps its choice, what can serve meanwhile does, and registry_start() is called
 * again. Doing all that is done already is doing nothing. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "impl.h"
#include "versions.h"

/* ---- recover ---- */

struct listing {
    struct version_row *rows;
    size_t count, room;
    enum { LIST_ALL, LIST_UNFINISHED, LIST_ACTIVE } which;
};

static int list_row(void *arg, const struct version_row *row)
{
    struct listing *list = arg;
    if (list->which == LIST_UNFINISHED && row->ready) return 0;
    if (list->which == LIST_ACTIVE && !row->active) return 0;
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

static int recover(struct registry *registry, struct db *db, struct err *e)
{
    struct listing list = {.which = LIST_UNFINISHED};
    int rc = version_table_each(db, NULL, list_row, &list, e);
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        rc = versions_remove(registry, list.rows[i].model, list.rows[i].number, e);
        if (rc == 0) rc = version_table_remove(db, list.rows[i].model, list.rows[i].number, e);
    }
    mem_free(list.rows);
    return rc < 0 ? rc : versions_remove_temporary(registry, e);
}

/* ---- import ---- */

/* Serves what was read without keeping it, since the disk takes nothing: better than nothing. */
static int serve_unkept(struct registry *registry, const struct content *content, const char *why,
                        registry_complain_fn *complain, void *arg)
{
    struct err e = {0};
    struct model *model;
    struct registry_stand_in before;
    if (registry_stand_in(registry, content->name, &before) && before.wanted == 0 &&
        is_serving(registry, content->name, before.serving, content->sha256))
        return 0;
    int64_t number = versions_on_disk(registry, content->name) + 1;
    int rc = model_load_bytes(content->bytes, content->size, &model, &e);
    if (rc == 0) {
        snprintf(model->name, sizeof(model->name), "%s", content->name);
        rc = publish(registry, model, number, &e);
    }
    if (rc < 0)
        complain(arg, e.text);
    else
        stand_in_set(registry, content->name, 0, number, why);
    return rc;
}

static int import(struct registry *registry, struct db *db, const char *path,
                  registry_complain_fn *complain, void *arg, struct err *e)
{
    char sha[SHA256_HEX_SIZE];
    struct version_row last;
    struct content content;
    int64_t version;
    int rc = sha256_file(path, registry->bytes_max, sha, e);
    if (rc < 0) return rc;
    rc = version_table_last_import(db, &last, e);
    if (rc == 0 && strcmp(last.sha256, sha) == 0) return 0;
    if (rc < 0 && rc != ERR_NOT_FOUND) return rc;
    rc = content_read(registry, path, &content, e);
    if (rc == 0 && !name_is_valid(content.name)) {
        rc = err_set(e, ERR_RANGE, "%s: a model may not be called \"%s\" (" NAME_RULE ")", path,
                     content.name);
    }
    if (rc == 0) {
        rc = content_add(registry, db, content.name, &content, "import", path, true, &version, e);
        if (rc == 0) log_info("%s was imported as version %lld", path, (long long)version);
        if (err_is_passing(rc)) serve_unkept(registry, &content, e->text, complain, arg);
    }
    mem_free(content.bytes);
    return rc;
}

/* ---- serve ---- */

struct serving {
    struct registry *registry;
    registry_complain_fn *complain;
    void *arg;
};

/* Whatever served before and can be served now, until the wanted one can. Its number, or 0. */
static int64_t serve_another(const struct serving *s, struct db *db, const struct version_row *row)
{
    struct listing list = {.which = LIST_ALL};
    struct err e = {0};
    int64_t number = 0;
    if (version_table_each_below(db, row->model, list_row, &list, &e) < 0)
        s->complain(s->arg, e.text);
    for (size_t i = 0; i < list.count && number == 0; i++) {
        if (load_and_publish(s->registry, &list.rows[i], &e) == 0)
            number = list.rows[i].number;
        else
            s->complain(s->arg, e.text);
    }
    mem_free(list.rows);
    return number;
}

static void serve_model(const struct serving *s, struct db *db, const struct version_row *row)
{
    struct registry_stand_in before = {.serving = 0};
    struct err why = {0};
    bool had = registry_stand_in(s->registry, row->model, &before);
    if (had && before.wanted == 0 && s->registry->import.pause_ns > 0)
        return; /* the file that was given, which is newer, serves without being kept */
    if (is_serving(s->registry, row->model, row->number, row->sha256) ||
        load_and_publish(s->registry, row, &why) == 0) {
        if (stand_in_clear(s->registry, row->model))
            log_info("version %lld of model %s can be read again and serves",
                     (long long)row->number, row->model);
        return;
    }
    int64_t serving = before.serving > 0 ? before.serving : serve_another(s, db, row);
    if (stand_in_set(s->registry, row->model, row->number, serving, why.text)) {
        char text[ERR_TEXT_MAX + 160], instead[64] = "nothing";
        if (serving > 0) snprintf(instead, sizeof(instead), "version %lld", (long long)serving);
        snprintf(text, sizeof(text), "model %s: %s serves instead of version %lld for now: %s",
                 row->model, instead, (long long)row->number, why.text);
        s->complain(s->arg, text);
    }
}

/* That of the last import first: it is the default. */
static int serve(const struct serving *s, struct db *db, struct err *e)
{
    struct listing list = {.which = LIST_ACTIVE};
    struct version_row last = {.model = ""};
    int rc = version_table_each(db, NULL, list_row, &list, e);
    if (rc == 0) {
        rc = version_table_last_import(db, &last, e);
        if (rc == ERR_NOT_FOUND) rc = 0;
    }
    for (int pass = 0; pass < 2 && rc >= 0; pass++) {
        for (size_t i = 0; i < list.count; i++) {
            bool first = strcmp(list.rows[i].model, last.model) == 0;
            if (first == (pass == 0)) serve_model(s, db, &list.rows[i]);
        }
    }
    mem_free(list.rows);
    return rc;
}

/* ---- all of it ---- */

/* Whether a part is done, or put off until the next call, which is said once for a cause. */
static bool is_done(struct retry *retry, int rc, const struct err *e,
                    registry_complain_fn *complain, void *arg)
{
    if (rc >= 0) retry_worked(retry);
    if (rc >= 0 || !err_is_passing(rc)) return rc >= 0;
    if (retry_failed(retry, e->text)) complain(arg, e->text);
    return true;
}

int registry_start(struct registry *registry, struct db *db, const char *file,
                   registry_complain_fn *complain, void *arg, struct err *e)
{
    const struct serving serving = {registry, complain, arg};
    const char *names[MODELS_MAX];
    struct err why = {0};
    if (file != NULL && file[0] == '\0') file = NULL;
    int rc = recover(registry, db, &why);
    if (rc >= 0) rc = adopt(registry, db, file, complain, arg, &why);
    if (!is_done(&registry->recovery, rc, &why, complain, arg)) goto failed;
    if (file != NULL) {
        if (registry->source == NULL) registry->source = mem_strdup(file);
        rc = import(registry, db, file, complain, arg, &why);
        if (!is_done(&registry->import, rc, &why, complain, arg)) goto failed;
    }
    rc = serve(&serving, db, &why);
    if (!is_done(&registry->serving, rc, &why, complain, arg)) goto failed;
    return (int)engine_model_names(registry->engine, names, MODELS_MAX);
failed:
    return err_set(e, rc, "%s", why.text);
}

bool registry_is_whole(struct registry *registry)
{
    return registry->recovery.pause_ns == 0 && registry->import.pause_ns == 0 &&
           registry->serving.pause_ns == 0 && registry_stand_ins(registry) == 0;
}
