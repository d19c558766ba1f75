/* Versions of models, and which one serves. An activation lies on top of the one before it, so that
 * a rollback takes the top one away; a model's current activation names the version that serves. On
 * the store thread; what changes nothing, on the reading one too. Of rows that are read, model and
 * number are what they may be. */
#ifndef STORE_VERSION_TABLE_H
#define STORE_VERSION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/name.h"
#include "base/sha256.h"
#include "store/db.h"

enum { VERSION_MODEL_MAX = NAME_BYTES_MAX, VERSION_SOURCE_MAX = 16, VERSION_DETAIL_MAX = 512 };

struct version_row {
    char model[VERSION_MODEL_MAX + 1];
    int64_t number; /* 1, 2, .. in each model; never used again */
    char sha256[SHA256_HEX_SIZE];
    char source[VERSION_SOURCE_MAX + 1]; /* "import" (a file at the start), "job", "disk" */
    char detail[VERSION_DETAIL_MAX + 1]; /* the file imported, the job's id */
    int64_t created_ns;
    bool ready;  /* its file is in place; false while it is being written */
    bool active; /* it serves, or will after the next start */
};

/* Adds a version that is not ready; its number is the next one, and at least at_least. */
int version_table_add(struct db *db, const char *model, const char *sha256, const char *source,
                      const char *detail, int64_t at_least, int64_t now_ns, int64_t *ret_number,
                      struct err *e);
int version_table_set_ready(struct db *db, const char *model, int64_t number, struct err *e);

/* Adds a version that is there already, of which the database does not know: ready, with the row's
 * number, SHA-256, source, detail and time. ERR_CONFLICT when there is such a number. */
int version_table_adopt(struct db *db, const struct version_row *row, struct err *e);

/* What a damaged file can have left of models: one whose current activation leads to no version of
 * its goes back to the last that does. Returns for how many that was so. */
int version_table_mend(struct db *db, struct err *e);

/* Removes a version that is not ready and has never served. */
int version_table_remove(struct db *db, const char *model, int64_t number, struct err *e);

/* ERR_NOT_FOUND when there is no such model or version. */
int version_table_get(struct db *db, const char *model, int64_t number, struct version_row *ret_row,
                      struct err *e);

/* The version of a model that serves; ERR_NOT_FOUND when none was ever activated. */
int version_table_active(struct db *db, const char *model, struct version_row *ret_row,
                         struct err *e);

/* What a rollback would go to; ERR_NOT_FOUND when there is no earlier activation. */
int version_table_previous(struct db *db, const char *model, struct version_row *ret_row,
                           struct err *e);

/* The versions below the current one, the last that served first, each once, until fn returns a
 * negative code, which is returned. */
int version_table_each_below(struct db *db, const char *model,
                             int (*fn)(void *arg, const struct version_row *row), void *arg,
                             struct err *e);

/* The version imported last of all models; ERR_NOT_FOUND when none ever was. */
int version_table_last_import(struct db *db, struct version_row *ret_row, struct err *e);

/* Makes a ready version the current one (ERR_CONFLICT when it is not ready); the one that is
 * current already stays as it is. */
int version_table_activate(struct db *db, const char *model, int64_t number, int64_t now_ns,
                           struct err *e);
int version_table_rollback(struct db *db, const char *model,
                           struct err *e); /* ERR_NOT_FOUND as above */

/* Versions of a model (NULL: of all), by model and rising number, until fn returns a negative code,
 * which is returned. */
int version_table_each(struct db *db, const char *model,
                       int (*fn)(void *arg, const struct version_row *row), void *arg,
                       struct err *e);

#endif
