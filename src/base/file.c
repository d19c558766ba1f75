/* Files: whole ones read within a limit, or written so that a crash leaves old or new.
 *
 * Reading takes regular files only: a FIFO without a writer, a terminal or /dev/zero would keep its
 * reader for ever. Nothing is mapped, since a file that somebody else cuts short while it is mapped
 * kills the process that looks at it.
 *
 * Writing goes through the descriptor of the directory: the temporary file, the rename and the
 * final fsync all mean the same directory even when a path component is exchanged meanwhile.
 * Temporary names are short and begin with a dot, so that a crash leaves at worst one hidden file
 * and a long name is never made too long. Directories stand in file_tree.c. */
#include "config.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* What a path is that is no regular file. */
static const char *kind_of(mode_t mode)
{
    return S_ISFIFO(mode)   ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a device"
           : S_ISBLK(mode)  ? "a block device"
                            : "no regular file";
}

int file_open(const char *path, int64_t *ret_size, struct err *e)
{
    /* Without O_NONBLOCK the open of a FIFO waits for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc = fd < 0 ? -errno : 0;
    if (fd < 0 && rc != -ENXIO) return err_set(e, rc, "cannot open %s: %s", path, err_text(rc));
    struct stat st;
    if ((fd < 0 ? stat(path, &st) : fstat(fd, &st)) < 0) {
        rc = err_set(e, -errno, "cannot read %s: %s", path, err_text(-errno));
    } else if (S_ISDIR(st.st_mode)) {
        rc = err_set(e, -EISDIR, "cannot read %s: %s", path, err_text(-EISDIR));
    } else if (!S_ISREG(st.st_mode)) { /* ENXIO: a socket, or a device that is not there */
        rc = err_set(e, ERR_UNSUPPORTED, "%s is %s; only regular files are read", path,
                     kind_of(st.st_mode));
    } else if (fd < 0) {
        rc = err_set(e, rc, "cannot open %s: %s", path, err_text(rc));
    } else {
        *ret_size = st.st_size;
        return fd;
    }
    if (fd >= 0) close(fd);
    return rc;
}

/* Reads until the end of the file. The size that stat names is only a hint: files in /proc say 0,
 * and a file may grow meanwhile. */
static int read_all(int fd, size_t hint, size_t max_bytes, char **data, size_t *size)
{
    enum { FIRST = 4096 };
    size_t capacity =
        hint < FIRST ? FIRST : hint + 1; /* one more, to see the end without growing */
    if (capacity > max_bytes) capacity = max_bytes + 1;
    *data = mem_new_aligned(capacity + 1, 1);
    if (*data == NULL) return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, *data + *size, capacity - *size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) break;
        *size += (size_t)n;
        if (*size > max_bytes) return ERR_LIMIT;
        if (*size < capacity) continue;
        capacity = capacity > max_bytes / 2 ? max_bytes + 1 : 2 * capacity;
        char *more = mem_new_aligned(capacity + 1, 1);
        if (more == NULL) return -ENOMEM;
        memcpy(more, *data, *size);
        mem_free(*data);
        *data = more;
    }
    (*data)[*size] = '\0';
    return 0;
}

int file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_size, struct err *e)
{
    int64_t hint;
    int fd = file_open(path, &hint, e);
    if (fd < 0) return fd;

    char *data = NULL;
    size_t size = 0;
    if (max_bytes > SIZE_MAX / 4) max_bytes = SIZE_MAX / 4; /* so that sums with it cannot wrap */
    int rc = ERR_LIMIT;
    if (hint >= 0 && (uint64_t)hint <= max_bytes)
        rc = read_all(fd, (size_t)hint, max_bytes, &data, &size);
    close(fd);
    if (rc == 0) {
        *ret_data = data;
        *ret_size = size;
        return 0;
    }
    mem_free(data);
    if (rc == ERR_LIMIT) {
        return err_set(e, rc, "%s is larger than the %zu bytes allowed here", path, max_bytes);
    }
    return err_set(e, rc, "cannot read %s: %s", path, err_text(rc));
}

int file_read_start(const char *path, size_t max_bytes, void *ret_data, size_t *ret_size,
                    int64_t *ret_length, struct err *e)
{
    int fd = file_open(path, ret_length, e);
    if (fd < 0) return fd;
    size_t size = 0;
    int rc = 0;
    while (size < max_bytes) {
        ssize_t n = read(fd, (char *)ret_data + size, max_bytes - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = err_set(e, -errno, "cannot read %s: %s", path, err_text(-errno));
        if (n <= 0) break;
        size += (size_t)n;
    }
    close(fd);
    if (rc == 0) *ret_size = size;
    return rc;
}

/* The directory of path, and ret_name pointing at the last component. */
static int open_directory_of(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX] = ".";
    *ret_name = slash != NULL ? slash + 1 : path;
    if (**ret_name == '\0') return -EISDIR;
    if (slash != NULL) {
        size_t length = slash == path ? 1 : (size_t)(slash - path);
        if (length >= sizeof(dir)) return -ENAMETOOLONG;
        memcpy(dir, path, length);
        dir[length] = '\0';
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int create_temporary(int dir, char *ret_name, size_t size)
{
    static atomic_uint sequence;
    enum { TRIES = 1000 }; /* those of a crashed process with the same id are in the way */
    for (int i = 0; i < TRIES; i++) {
        snprintf(ret_name, size, ".ad-%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&sequence, 1));
        int fd = openat(dir, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd >= 0) return fd;
        if (errno != EEXIST) return -errno;
    }
    return -EEXIST;
}

static int write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) return -EIO; /* would otherwise be for ever */
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

static int write_temporary(int fd, const struct file_piece *pieces, size_t n_pieces)
{
    int rc = 0;
    for (size_t i = 0; i < n_pieces && rc == 0; i++)
        rc = write_all(fd, pieces[i].data, pieces[i].size);
    if (rc == 0 && fsync(fd) < 0) rc = -errno;
    if (close(fd) < 0 && rc == 0) rc = -errno; /* NFS reports a full disk here */
    return rc;
}

/* A rename would put a file in the place of a device or a pipe, /dev/stdout among them. */
static bool is_replaceable(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, 0) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

int file_write_atomic(const char *path, const struct file_piece *pieces, size_t n_pieces,
                      struct err *e)
{
    char temporary[64];
    const char *name;
    int dir = open_directory_of(path, &name), rc = dir;
    if (dir < 0) goto out;
    if (!is_replaceable(dir, name)) {
        close(dir);
        return err_set(e, -EEXIST, "cannot write %s: it is no regular file: name another one",
                       path);
    }
    int fd = create_temporary(dir, temporary, sizeof(temporary));
    rc = fd;
    if (fd < 0) goto out;
    rc = write_temporary(fd, pieces, n_pieces);
    if (rc == 0 && renameat(dir, temporary, dir, name) < 0) rc = -errno;
    if (rc < 0) {
        unlinkat(dir, temporary, 0);
        goto out;
    }
    /* Some file systems cannot fsync a directory and say EINVAL; they have no more to give. */
    if (fsync(dir) < 0 && errno != EINVAL && errno != ENOTSUP) rc = -errno;
out:
    if (dir >= 0) close(dir);
    if (rc == 0) return 0;
    const char *remedy = rc == -ENOSPC || rc == -EDQUOT ? " (free some space and try again)" : "";
    return err_set(e, rc, "cannot write %s: %s%s", path, err_text(rc), remedy);
}

/* The lowest free number is what open() takes. The descriptors stay open for children. */
int file_open_standard(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0) return -errno;
        if (fd <= STDERR_FILENO) continue;
        close(fd);
        return 0;
    }
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

int file_check_program(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) return -errno;
    if (!S_ISREG(st.st_mode)) return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -errno : (int64_t)st.st_size;
}

int file_join(char *ret_path, size_t size, const char *dir, const char *name)
{
    size_t n_dir = strlen(dir), n_name = strlen(name);
    bool slash = n_dir > 0 && dir[n_dir - 1] != '/';
    if (n_dir >= size || n_name >= size - n_dir - (slash ? 1 : 0)) return ERR_LIMIT;
    memmove(ret_path, dir, n_dir);
    if (slash) ret_path[n_dir++] = '/';
    memcpy(ret_path + n_dir, name, n_name + 1);
    return 0;
}
