/* STATE. */
#include "config.h"

#include "state_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int state_blame(struct err *e)
{
    return err_prefix(e, "state.directory");
}

int state_path(const struct config *config, const char *name, char ret_path[PATH_MAX],
               struct err *e)
{
    if (file_join(ret_path, PATH_MAX, config->state_directory, name) == 0) return 0;
    err_set(e, ERR_LIMIT, "the path is too long");
    state_blame(e);
    return ERR_LIMIT;
}

int state_open(const struct config *config, struct store **ret_store, struct err *e)
{
    int rc = store_open(config->state_directory, ret_store, e);
    if (rc < 0) state_blame(e);
    return rc;
}

/* The directory itself, or the one that it would be made in. */
int state_check(const struct config *config, bool *ret_exists, struct err *e)
{
    char path[CONFIG_TEXT_MAX];
    struct stat st;
    strcpy(path, config->state_directory);
    for (;;) {
        int rc = stat(path, &st) == 0 ? 0 : -errno;
        if (rc == 0 && !S_ISDIR(st.st_mode)) rc = -ENOTDIR;
        if (rc == 0 && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0) rc = -errno;
        if (rc == 0) {
            *ret_exists = strcmp(path, config->state_directory) == 0;
            return 0;
        }
        if (rc != -ENOENT || strcmp(path, ".") == 0 || strcmp(path, "/") == 0) {
            err_set(e, rc, "%s: %s", path, err_text(rc));
            state_blame(e);
            return rc;
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            strcpy(path, ".");
        else
            slash[slash == path] = '\0';
    }
}

bool state_is_taken(const struct config *config)
{
    char path[PATH_MAX];
    if (state_path(config, "lock", path, NULL) < 0) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    bool taken = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return taken;
}
