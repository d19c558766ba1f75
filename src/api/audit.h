/* The audit of the admin listener. On the loop thread. */
#ifndef API_AUDIT_H
#define API_AUDIT_H

#include <stdint.h>

#include "http/server.h"
#include "store/store.h"

/* Refusals since a point of time, of one kind. */
struct refusals {
    int max, entered;
    int64_t since_ns, left_out;
    int last_status;
};

struct audit {
    struct store *store;
    struct audit_failures *failures; /* the store thread's, until it has run what is posted */
    struct refusals strangers, refused;
};

/* From now on the server's answers are entered. -ENOMEM. */
int audit_begin(struct audit *audit, struct server *server, struct store *store);

/* What waits to be counted is entered. Before store_close(). */
void audit_end(struct audit *audit);

#endif
