/* Versions on disk, inside the registry layer. */
#ifndef REGISTRY_VERSIONS_H
#define REGISTRY_VERSIONS_H

#include "registry/registry.h"

/* DIRECTORY/NAME/NUMBER, without the file. */
int versions_directory(const struct registry *registry, const char *name, int64_t version,
                       char *ret_path, size_t size);

/* The largest NUMBER in DIRECTORY/NAME, 0 when there is none: what a lost database left on disk
 * keeps its number. */
int64_t versions_on_disk(const struct registry *registry, const char *name);

/* Every NAME and NUMBER that stands there, in no order, until fn returns a negative code. */
int versions_each(const struct registry *registry,
                  int (*fn)(void *arg, const char *name, int64_t number), void *arg, struct err *e);

/* Puts the bytes in place as a version: beside, fsync, rename. -EEXIST when the version is there.
 */
int versions_write(const struct registry *registry, const char *name, int64_t version,
                   const void *bytes, size_t size, struct err *e);

/* Puts the bytes in the place of a version's file, whatever is there. */
int versions_restore(const struct registry *registry, const char *name, int64_t version,
                     const void *bytes, size_t size, struct err *e);

/* Removes a version's directory, and whatever an interrupted versions_write() left in
 * DIRECTORY/NAME. */
int versions_remove(const struct registry *registry, const char *name, int64_t version,
                    struct err *e);
int versions_remove_temporary(const struct registry *registry, struct err *e);

#endif
