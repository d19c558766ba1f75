/* A directory for the admin socket where the state directory takes nothing. */
#ifndef APP_SPARE_PLACE_H
#define APP_SPARE_PLACE_H

#include "base/err.h"

enum { SPARE_PLACE_MAX = 80 };

/* Makes a directory of mode 0700 in TMPDIR, /tmp, /run or /dev/shm. */
int spare_place_make(char ret_path[SPARE_PLACE_MAX], struct err *e);

/* Removes what is in it, and it; "" is fine. */
void spare_place_remove(const char *path);

#endif
