/* See spare_place.h. */
#include "config.h"

#include "spare_place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

int spare_place_make(char ret_path[SPARE_PLACE_MAX], struct err *e)
{
    const char *places[] = {getenv("TMPDIR"), "/tmp", "/run", "/dev/shm"};
    int rc = -ENOENT;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i] == NULL) continue;
        int n = snprintf(ret_path, SPARE_PLACE_MAX, "%s/autodidact-XXXXXX", places[i]);
        if (n < 0 || n >= SPARE_PLACE_MAX) continue;
        if (mkdtemp(ret_path) != NULL) return 0;
        rc = -errno;
    }
    ret_path[0] = '\0';
    return err_set(e, rc, "cannot make a directory for the admin socket: %s", err_text(rc));
}

void spare_place_remove(const char *path)
{
    if (path[0] != '\0') file_remove_tree(path, NULL);
}
