/* Names in a directory, as the reader of folders wants them: sorted by byte, hidden ones left out,
 * symbolic links followed. */
#ifndef SRC_DATA_FOLDER_LIST_H
#define SRC_DATA_FOLDER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct folder_list {
    char **names;
    size_t count, capacity;
};

void folder_list_release(struct folder_list *list);

/* Whether the name is in the sorted list; its place in *ret_at. */
bool folder_list_find(const struct folder_list *list, const char *name, size_t *ret_at);

bool folder_is_directory(const char *path);

/* The subdirectories of dir. Errors name the directory, or the entry that a link leads nowhere
 * from. The list is to be released after a failure, too. */
int folder_list_classes(const char *dir, struct folder_list *list, struct err *e);

/* What in dir is named like a picture, of any kind and whatever it is; what is not named so is left
 * out. */
int folder_list_images(const char *dir, struct folder_list *list, struct err *e);

/* Whether the name is that of a picture which is neither a JPEG nor a PNG. */
bool folder_list_is_other(const char *name);

#endif
