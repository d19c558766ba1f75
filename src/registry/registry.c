/* The registry: adding, activating, rolling back; starting has a file of its own.
 *
 * Order is what makes it crash-safe. Adding: row (not ready), file in place, row ready. Activating:
 * load, check, publish, then the row; a crash before the row leaves the old version in the
 * database, which the next start serves. An import marks its row ready and current in one
 * transaction, or its SHA-256 would say "imported already" while the old version serves. */
#include "config.h"

#include "registry/registry.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/sha256.h"
#include "impl.h"
#include "versions.h"

int registry_new(const char *directory, size_t bytes_max, struct engine *engine,
                 struct registry **ret_registry, struct err *e)
{
    struct registry *registry = mem_new(1, sizeof(*registry));
    if (registry != NULL) registry->directory = mem_strdup(directory);
    if (registry == NULL || registry->directory == NULL) {
        mem_free(registry);
        return err_set(e, -ENOMEM, "%s: out of memory", directory);
    }
    registry->bytes_max = bytes_max;
    registry->engine = engine;
    pthread_mutex_init(&registry->lock, NULL);
    *ret_registry = registry;
    return 0;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL) return;
    pthread_mutex_destroy(&registry->lock);
    mem_free(registry->source);
    mem_free(registry->directory);
    mem_free(registry);
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

int content_add(struct registry *registry, struct db *db, const char *name,
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

int registry_add(struct registry *registry, struct db *db, const char *name, const char *path,
                 const char *source, const char *detail, int64_t *ret_version, struct err *e)
{
    struct content content;
    int rc = content_read(registry, path, &content, e);
    if (rc == 0 && !name_is_valid(name)) {
        rc = err_set(e, ERR_RANGE, "%s: a model may not be called \"%s\" (" NAME_RULE ")", path,
                     name);
    }
    if (rc == 0)
        rc = content_add(registry, db, name, &content, source, detail, false, ret_version, e);
    mem_free(content.bytes);
    return rc;
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
    if (rc < 0) return rc;
    if (row.active && is_serving(registry, name, version, row.sha256)) return 0;
    rc = load_and_publish(registry, &row, e);
    if (rc < 0) return rc;
    rc = version_table_activate(db, name, version, clock_real(), e);
    if (rc < 0) {
        publish_again(registry, db, name);
        return rc;
    }
    stand_in_clear(registry, name);
    return 0;
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
    stand_in_clear(registry, name);
    *ret_version = row.number;
    return 0;
}
