/* Where a daemon listens, as its options say and as it tells scripts: STATE/listen.json. */
#ifndef APP_ADDRESSES_H
#define APP_ADDRESSES_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "options.h"

enum { ADDRESS_MAX = PATH_MAX + 8 };

/* What the admin listener listens on: what is said, or STATE/admin.sock. *ret_derived: the
 * latter. */
int admin_address(const struct config *config, char ret_address[ADDRESS_MAX], bool *ret_derived,
                  struct err *e);

struct addresses {
    char http[ADDRESS_MAX], admin[ADDRESS_MAX];
};

/* listen.json, written whole or not at all; removed; read, which fails where no daemon runs. */
int addresses_write(const struct config *config, const char *http, const char *admin,
                    struct err *e);
void addresses_remove(const struct config *config);
int addresses_read(const struct config *config, struct addresses *ret_addresses);

#endif
