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

/* directory: STATE/models, made when missing. bytes_max: of a model file that is added. The engine
 * must outlive the registry's last call. Before the store thread's first task, or on it. */
int registry_new(const char *directory, size_t bytes_max, struct engine *engine,
                 struct registry **ret_registry, struct err *e);
void registry_free(struct registry *registry);

/* Removes what a crash left half made. First call after registry_new(). */
int registry_recover(struct registry *registry, struct db *db, struct err *e);

/* Imports a file as a new version of the name it carries, and makes that the current one,
 * when its SHA-256 is not that of the version imported last. 1 imported, 0 nothing to do. Publishes
 * nothing. */
int registry_import(struct registry *registry, struct db *db, const char *path, struct err *e);

/* After a start: publishes the current version of every model, that of the last import first. Where
 * one cannot be served (its file is gone or damaged) `complain` gets the message and the activation
 * below it is taken. Returns how many models serve. */
int registry_serve(struct registry *registry, struct db *db,
                   void (*complain)(void *arg, const char *message), void *arg, struct err *e);

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
