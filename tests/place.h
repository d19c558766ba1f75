/* A directory that lives as long as a test. */
#ifndef TESTS_PLACE_H
#define TESTS_PLACE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

struct place {
    char root[64];
    char path[PATH_MAX]; /* of the last place_path() */
};

static inline void place_make(struct place *p)
{
    snprintf(p->root, sizeof(p->root), "/tmp/test_place.XXXXXX");
    if (mkdtemp(p->root) == NULL) abort();
}

static inline const char *place_path(struct place *p, const char *name)
{
    snprintf(p->path, sizeof(p->path), "%s/%s", p->root, name);
    return p->path;
}

static inline void place_remove(struct place *p)
{
    file_remove_tree(p->root, NULL);
}

#endif
