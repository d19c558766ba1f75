/* The audit: who changed what through the admin listener, refused calls included. On the store
 * thread. */
#ifndef STORE_AUDIT_TABLE_H
#define STORE_AUDIT_TABLE_H

#include <stdint.h>

#include "base/err.h"
#include "store/db.h"

struct audit_row {
    int64_t at_ns;          /* real time */
    const char *request_id; /* X-Request-Id */
    const char *method, *path;
    int status;         /* of the answer */
    const char *detail; /* the message of a refusal, else "" */
};

int audit_table_add(struct db *db, const struct audit_row *row, struct err *e);

/* The last entries, latest first; strings are valid during the call. */
int audit_table_each(struct db *db, int64_t limit,
                     int (*fn)(void *arg, const struct audit_row *row), void *arg, struct err *e);

#endif
