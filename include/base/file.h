/* Files: reading whole ones within a limit, writing so that a crash leaves the old or the
 * new content and never a part. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "base/err.h"

/* A descriptor to read a regular file from its start, and the size that it has now; never waits for
 * a FIFO's writer. Errors name the path: -ENOENT.., -EISDIR, ERR_UNSUPPORTED for what is no regular
 * file. */
int file_open(const char *path, int64_t *ret_size, struct err *e);

/* Reads a whole regular file of at most max_bytes into *ret_data (mem_free(); NUL appended, not
 * counted). Errors as of file_open(), ERR_LIMIT. */
int file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_size, struct err *e);

/* The first bytes of a regular file, at most max_bytes of them, into the caller's array, and the
 * length of the whole. */
int file_read_start(const char *path, size_t max_bytes, void *ret_data, size_t *ret_size,
                    int64_t *ret_length, struct err *e);

struct file_piece {
    const void *data;
    size_t size;
};

/* Writes the pieces to a temporary file beside path, fsyncs it, renames it to path and fsyncs the
 * directory. On failure (full disk..) path is untouched and the temporary file is gone; only when
 * the directory's fsync fails the new content already stands. The mode is 0666 less the umask.
 * -EEXIST where a device or a pipe stands. */
int file_write_atomic(const char *path, const struct file_piece *pieces, size_t n_pieces,
                      struct err *e);

/* mkdir -p with mode 0700 for new directories. */
int file_make_dirs(const char *path, struct err *e);

/* Removes a directory and all in it (no symlink is followed); missing is fine. */
int file_remove_tree(const char *path, struct err *e);

/* Opens /dev/null in the place of those of the descriptors 0, 1 and 2 that are closed, so that what
 * is written to stderr never ends up in the file that got its number. First thing of a program. */
int file_open_standard(void);

bool file_exists(const char *path);

/* 0 when it is a regular file that this process may execute: -ENOENT, -EACCES.. */
int file_check_program(const char *path);

int64_t file_size(const char *path); /* bytes, or a negated errno */

/* "dir/name" into a fixed buffer; ERR_LIMIT when it does not fit. */
int file_join(char *ret_path, size_t size, const char *dir, const char *name);

#endif
