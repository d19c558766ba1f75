/* Directories: made with all above them, removed with all below them.
 *
 * Removing walks by descriptors (openat, unlinkat, O_NOFOLLOW): a name that is exchanged for a
 * symbolic link while the walk is under way can never lead it out of the tree. */
#include "config.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64 }; /* each level holds a descriptor; ours are four deep */

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0) return 0;
    int rc = -errno;
    /* What is there already may also say EROFS or EACCES. */
    if (is_directory(path)) return 0;
    return rc == -EEXIST ? -ENOTDIR : rc;
}

int file_make_dirs(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    int rc = length == 0 ? -ENOENT : length >= sizeof(part) ? -ENAMETOOLONG : 0;
    if (rc < 0) return err_set(e, rc, "cannot make directory %s: %s", path, err_text(rc));
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0') continue;
        part[i] = '\0';
        rc = make_directory(part);
        if (rc < 0) return err_set(e, rc, "cannot make directory %s: %s", part, err_text(rc));
        if (i < length) part[i] = '/';
    }
    return 0;
}

static int remove_entry(int parent, const char *name, int depth);

/* Removes all in the directory fd, which it closes. */
static int remove_content(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    int rc = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            rc = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        rc = remove_entry(dirfd(dir), entry->d_name, depth);
        if (rc < 0) break;
    }
    closedir(dir);
    return rc;
}

/* Removes name in parent, whatever it is. */
static int remove_entry(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return -errno; /* Linux and POSIX name a directory so */
    if (depth >= DEPTH_MAX) return -ELOOP;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -errno;
    int rc = remove_content(fd, depth + 1);
    if (rc < 0) return rc;
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int file_remove_tree(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return 0;
    int rc = fd < 0 ? -errno : remove_content(fd, 0);
    if (rc == 0 && rmdir(path) < 0 && errno != ENOENT) rc = -errno;
    if (rc == 0) return 0;
    return err_set(e, rc, "cannot remove directory %s: %s", path, err_text(rc));
}
