/* The registry: versions of models on disk and in the database, and which one serves.
 *
 * A version is DIRECTORY/NAME/NUMBER/model.safetensors, never changed once it is there. It is
 * entered in the database as not ready, written beside, fsynced, renamed into place, and then
 * marked ready; what a crash leaves between is removed at the next start. A version serves from the
 * moment that the engine has published it and the database says so. Everything runs on the store
 * thread, one call at a time; it waits while the engine publishes. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "serve/engine.h"
#include "store/db.h"
#include "store/version_table.h"

struct registry;

/* directory: STATE/models, made with the first version. bytes_max: of a model file that is added.
 * The engine must outlive the registry's last call. Before the store thread's first task, or on it.
 */
int registry_new(const char *directory, size_t bytes_max, struct engine *engine,
                 struct registry **ret_registry, struct err *e);
void registry_free(struct registry *registry);

typedef void registry_complain_fn(void *arg, const char *message);

/* After a start: removes what a crash left half made; imports file (NULL or "": none) as a new
 * version of the name it carries, and makes that the current one, when its SHA-256 is not that of
 * the version imported last; publishes the current version of every model, that of the last import
 * first. What cannot be done now but perhaps later is said by `complain` and left out: a version
 * that cannot be read has a stand-in, for this run only; a file that the disk has no room for
 * serves without being kept. While registry_is_whole() says no, the same call goes on with it.
 * Returns how many models serve; negative where file or database cannot be used as they are. */
int registry_start(struct registry *registry, struct db *db, const char *file,
                   registry_complain_fn *complain, void *arg, struct err *e);
bool registry_is_whole(struct registry *registry);

/* What serves under a name in the place of what is wanted. */
struct registry_stand_in {
    char model[NAME_BYTES_MAX + 1];
    int64_t wanted; /* the version that the database names; 0: the file that was given, which is not
                       kept */
    int64_t serving; /* the version that serves; 0: none */
    char reason[ERR_TEXT_MAX];
};

/* false: what serves is what is wanted. Any thread. */
bool registry_stand_in(struct registry *registry, const char *model, struct registry_stand_in *ret);
size_t registry_stand_ins(struct registry *registry);

/* Adds the file at path as the next version of name; it does not serve yet. ERR_FORMAT and the like
 * when it does not load. */
int registry_add(struct registry *registry, struct db *db, const char *name, const char *path,
                 const char *source, const char *detail, int64_t *ret_version, struct err *e);

/* Loads, checks against its SHA-256, publishes, and then enters in the database that this version
 * serves. ERR_NOT_FOUND: no such version. ERR_CONFLICT: the file is not what was registered.
 * Whatever fails, what served before serves on. */
int registry_activate(struct registry *registry, struct db *db, const char *name, int64_t version,
                      struct err *e);

/* Back to the version that served before; ERR_NOT_FOUND (no such model), ERR_CONFLICT (none
 * before). */
int registry_rollback(struct registry *registry, struct db *db, const char *name,
                      int64_t *ret_version, struct err *e);

/* Where a version's file stands. ERR_LIMIT when it does not fit. */
int registry_path(const struct registry *registry, const char *name, int64_t version,
                  char *ret_path, size_t size);

#endif
