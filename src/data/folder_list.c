/* Listing directories of images.
 *
 * The order of readdir() is the file system's mood; sorted names give every machine the same data
 * set. What is a picture is told by the end of its name here, and by its content when it is
 * decoded. */
#include "config.h"

#include "folder_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

void folder_list_release(struct folder_list *list)
{
    for (size_t i = 0; i < list->count; i++) mem_free(list->names[i]);
    mem_free(list->names);
    *list = (struct folder_list){NULL, 0, 0};
}

static int add_name(struct folder_list *list, const char *name)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        char **names = mem_grow(list->names, capacity, sizeof(*names));
        if (names == NULL) return -ENOMEM;
        list->names = names;
        list->capacity = capacity;
    }
    list->names[list->count] = mem_strdup(name);
    return list->names[list->count] != NULL ? (list->count++, 0) : -ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

bool folder_list_find(const struct folder_list *list, const char *name, size_t *ret_at)
{
    if (list->count == 0) return false;
    char **found = bsearch(&name, list->names, list->count, sizeof(*list->names), compare_names);
    if (found == NULL) return false;
    *ret_at = (size_t)(found - list->names);
    return true;
}

bool folder_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 1: to be listed; 0: not; an error otherwise. */
typedef int chooser(const char *path, const char *name, struct err *e);

static int stat_entry(const char *path, struct stat *ret_st, struct err *e)
{
    if (stat(path, ret_st) == 0) return 0;
    return err_set(e, -errno, "%s: %s%s", path, err_text(-errno),
                   errno == ENOENT ? "; it is a link that leads nowhere" : "");
}

static int choose_class(const char *path, const char *name, struct err *e)
{
    (void)name;
    struct stat st;
    int rc = stat_entry(path, &st, e);
    return rc < 0 ? rc : S_ISDIR(st.st_mode) ? 1 : 0;
}

static bool ends_in(const char *name, const char *const *ends, size_t n)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < n; i++) {
        if (strcasecmp(dot + 1, ends[i]) == 0) return true;
    }
    return false;
}

bool folder_list_is_other(const char *name)
{
    static const char *const others[] = {"webp", "gif", "bmp", "tif", "tiff", "heic", "heif",
                                         "avif", "jp2", "jxl", "ppm", "pgm",  "tga",  "svg"};
    return ends_in(name, others, sizeof(others) / sizeof(others[0]));
}

/* Pictures of other kinds are taken, too, so that they are not left out in silence. */
static int choose_image(const char *path, const char *name, struct err *e)
{
    (void)path;
    (void)e;
    static const char *const taken[] = {"jpg", "jpeg", "jpe", "jfif", "png"};
    return ends_in(name, taken, sizeof(taken) / sizeof(taken[0])) || folder_list_is_other(name);
}

static int list_directory(const char *dir, chooser *choose, struct folder_list *list, struct err *e)
{
    char path[PATH_MAX];
    struct dirent *entry;
    int rc = 0;
    DIR *stream = opendir(dir);
    if (stream == NULL) return err_set(e, -errno, "cannot read %s: %s", dir, err_text(-errno));
    while (rc == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        if (file_join(path, sizeof(path), dir, entry->d_name) < 0) {
            rc = err_set(e, -ENAMETOOLONG, "%.300s: a path in it is too long", dir);
            break;
        }
        int wanted = choose(path, entry->d_name, e);
        if (wanted == 1) wanted = add_name(list, entry->d_name);
        if (wanted == -ENOMEM) err_set(e, -ENOMEM, "no memory for the names in %s", dir);
        rc = wanted;
    }
    if (rc == 0 && errno != 0) rc = err_set(e, -errno, "cannot read %s: %s", dir, err_text(-errno));
    closedir(stream);
    if (rc == 0 && list->count > 0) {
        qsort(list->names, list->count, sizeof(*list->names), compare_names);
    }
    return rc;
}

int folder_list_classes(const char *dir, struct folder_list *list, struct err *e)
{
    return list_directory(dir, choose_class, list, e);
}

int folder_list_images(const char *dir, struct folder_list *list, struct err *e)
{
    return list_directory(dir, choose_image, list, e);
}
