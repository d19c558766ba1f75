/* Versions on disk: DIRECTORY/NAME/NUMBER/model.safetensors.
 *
 * A version is written into a directory of its own, DIRECTORY/NAME/.new-NUMBER, which is renamed
 * when all in it is on the disk: the final name either does not exist or is complete. */
#include "config.h"

#include "impl.h"
#include "versions.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/name.h"

#define TEMPORARY ".new-"
#define MODEL_FILE "model.safetensors"

static int path_of(const struct registry *registry, const char *name, const char *prefix,
                   int64_t version, const char *suffix, char *ret_path, size_t size)
{
    int n = snprintf(ret_path, size, "%s/%s/%s%lld%s", registry->directory, name, prefix,
                     (long long)version, suffix);
    return n < 0 || (size_t)n >= size ? ERR_LIMIT : 0;
}

int versions_directory(const struct registry *registry, const char *name, int64_t version,
                       char *ret_path, size_t size)
{
    return path_of(registry, name, "", version, "", ret_path, size);
}

int registry_path(const struct registry *registry, const char *name, int64_t version,
                  char *ret_path, size_t size)
{
    return path_of(registry, name, "", version, "/" MODEL_FILE, ret_path, size);
}

int64_t versions_on_disk(const struct registry *registry, const char *name)
{
    char path[PATH_MAX];
    int64_t last = 0;
    if (file_join(path, sizeof(path), registry->directory, name) < 0) return 0;
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        char *end;
        errno = 0;
        long long number = strtoll(entry->d_name, &end, 10);
        if (*end == '\0' && errno == 0 && number > last) last = number;
    }
    closedir(dir);
    return last;
}

/* The versions of one model. */
static int each_of(const char *directory, const char *name,
                   int (*fn)(void *arg, const char *name, int64_t number), void *arg)
{
    char path[PATH_MAX], text[24];
    int rc = 0;
    if (file_join(path, sizeof(path), directory, name) < 0) return 0;
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        long long number = strtoll(entry->d_name, NULL, 10);
        snprintf(text, sizeof(text), "%lld", number);
        if (number > 0 && strcmp(text, entry->d_name) == 0) rc = fn(arg, name, number);
    }
    closedir(dir);
    return rc;
}

int versions_each(const struct registry *registry,
                  int (*fn)(void *arg, const char *name, int64_t number), void *arg, struct err *e)
{
    DIR *dir = opendir(registry->directory);
    if (dir == NULL && errno == ENOENT) return 0; /* made with the first version */
    if (dir == NULL)
        return err_set(e, -errno, "cannot read %s: %s", registry->directory, err_text(-errno));
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;)
        if (name_is_valid(entry->d_name)) rc = each_of(registry->directory, entry->d_name, fn, arg);
    closedir(dir);
    return rc < 0 ? err_set(e, rc, "cannot list %s: %s", registry->directory, err_text(rc)) : 0;
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int rc = fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP ? -errno : 0;
    close(fd);
    return rc;
}

int versions_write(const struct registry *registry, const char *name, int64_t version,
                   const void *bytes, size_t size, struct err *e)
{
    char model[PATH_MAX], temporary[PATH_MAX], file[PATH_MAX], final[PATH_MAX];
    if (file_join(model, sizeof(model), registry->directory, name) < 0 ||
        path_of(registry, name, TEMPORARY, version, "", temporary, sizeof(temporary)) < 0 ||
        path_of(registry, name, TEMPORARY, version, "/" MODEL_FILE, file, sizeof(file)) < 0 ||
        versions_directory(registry, name, version, final, sizeof(final)) < 0) {
        return err_set(e, ERR_LIMIT, "the path %s/%s is too long", registry->directory, name);
    }
    if (file_exists(final)) return err_set(e, -EEXIST, "%s is there already", final);
    const struct file_piece piece = {bytes, size};
    int rc = file_remove_tree(temporary, e);
    if (rc == 0) rc = file_make_dirs(temporary, e);
    if (rc == 0) rc = file_write_atomic(file, &piece, 1, e);
    if (rc == 0 && rename(temporary, final) < 0)
        rc = err_set(e, -errno, "cannot rename %s to %s: %s", temporary, final, err_text(-errno));
    if (rc == 0) {
        rc = sync_directory(model);
        if (rc == 0) rc = sync_directory(registry->directory); /* the model's own first version */
        if (rc < 0) err_set(e, rc, "cannot write %s: %s", final, err_text(rc));
    }
    if (rc < 0) {
        file_remove_tree(temporary, NULL);
        file_remove_tree(final, NULL);
    }
    return rc;
}

int versions_restore(const struct registry *registry, const char *name, int64_t version,
                     const void *bytes, size_t size, struct err *e)
{
    char directory[PATH_MAX], file[PATH_MAX];
    const struct file_piece piece = {bytes, size};
    if (versions_directory(registry, name, version, directory, sizeof(directory)) < 0 ||
        registry_path(registry, name, version, file, sizeof(file)) < 0)
        return err_set(e, ERR_LIMIT, "the path %s/%s is too long", registry->directory, name);
    int rc = file_make_dirs(directory, e);
    return rc < 0 ? rc : file_write_atomic(file, &piece, 1, e);
}

int versions_remove(const struct registry *registry, const char *name, int64_t version,
                    struct err *e)
{
    char path[PATH_MAX];
    if (versions_directory(registry, name, version, path, sizeof(path)) < 0)
        return err_set(e, ERR_LIMIT, "the path %s/%s is too long", registry->directory, name);
    return file_remove_tree(path, e);
}

/* Removes the entries of one model's directory that an interrupted write left. */
static int remove_temporary_of(const char *model, struct err *e)
{
    DIR *dir = opendir(model);
    if (dir == NULL) return errno == ENOTDIR ? 0 : err_set(e, -errno, "cannot read %s", model);
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)) != 0) continue;
        if (file_join(path, sizeof(path), model, entry->d_name) == 0)
            rc = file_remove_tree(path, e);
    }
    closedir(dir);
    return rc;
}

int versions_remove_temporary(const struct registry *registry, struct err *e)
{
    DIR *dir = opendir(registry->directory);
    if (dir == NULL && errno == ENOENT) return 0; /* made with the first version */
    if (dir == NULL)
        return err_set(e, -errno, "cannot read %s: %s", registry->directory, err_text(-errno));
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        if (!name_is_valid(entry->d_name)) continue;
        if (file_join(path, sizeof(path), registry->directory, entry->d_name) == 0)
            rc = remove_temporary_of(path, e);
    }
    closedir(dir);
    return rc;
}
