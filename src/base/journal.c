/* Journals. The place that is written to is the mark's, never the file's end, so that trying again
 * writes over whatever a failure has left. */
#include "config.h"

#include "base/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/mem.h"

struct journal {
    int fd;
    struct journal_mark mark;
    struct buf waiting;
    char path[PATH_MAX];
};

static int journal_new(const char *path, int flags, struct journal **ret_journal, struct err *e)
{
    struct journal *j = mem_new(1, sizeof(*j));
    if (j == NULL) return err_set(e, -ENOMEM, "%s: out of memory", path);
    buf_init(&j->waiting, JOURNAL_WAITING_MAX);
    snprintf(j->path, sizeof(j->path), "%s", path);
    j->fd = open(path, flags | O_CLOEXEC, 0666);
    if (j->fd < 0) {
        const int rc = -errno;
        mem_free(j);
        return err_set(e, rc, "%s: %s", path, err_text(rc));
    }
    *ret_journal = j;
    return 0;
}

int journal_create(const char *path, struct journal **ret_journal, struct err *e)
{
    return journal_new(path, O_RDWR | O_CREAT | O_EXCL, ret_journal, e);
}

/* The CRC of the first bytes of the file. */
static int read_crc(int fd, int64_t bytes, uint32_t *ret_crc)
{
    char piece[1 << 14];
    uint32_t crc = 0;
    for (int64_t at = 0; at < bytes;) {
        const int64_t left = bytes - at;
        ssize_t n = pread(fd, piece, left < (int64_t)sizeof(piece) ? (size_t)left : sizeof(piece),
                          (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) return ERR_CONFLICT;
        crc = crc32c(crc, piece, (size_t)n);
        at += n;
    }
    *ret_crc = crc;
    return 0;
}

static int go_to_mark(struct journal *j, const struct journal_mark *mark)
{
    struct stat st;
    uint32_t crc = 0;
    if (fstat(j->fd, &st) < 0) return -errno;
    if (!S_ISREG(st.st_mode) || mark->bytes < 0 || st.st_size < mark->bytes) return ERR_CONFLICT;
    int rc = read_crc(j->fd, mark->bytes, &crc);
    if (rc < 0) return rc;
    if (crc != mark->crc) return ERR_CONFLICT;
    if (ftruncate(j->fd, (off_t)mark->bytes) < 0) return -errno;
    j->mark = *mark;
    return 0;
}

int journal_resume(const char *path, const struct journal_mark *mark, struct journal **ret_journal,
                   struct err *e)
{
    struct journal *j = NULL;
    int rc = journal_new(path, O_RDWR | O_NONBLOCK, &j, e); /* never waits for who reads a FIFO */
    if (rc < 0) return rc;
    rc = go_to_mark(j, mark);
    if (rc == 0) {
        *ret_journal = j;
        return 0;
    }
    journal_free(j);
    if (rc == ERR_CONFLICT)
        return err_set(e, rc, "%s has been changed: its first %lld bytes are not what was written",
                       path, (long long)mark->bytes);
    return err_set(e, rc, "%s: %s", path, err_text(rc));
}

void journal_free(struct journal *journal)
{
    if (journal == NULL) return;
    close(journal->fd);
    buf_release(&journal->waiting);
    mem_free(journal);
}

int journal_put(struct journal *journal, const void *data, size_t size)
{
    return buf_append(&journal->waiting, data, size);
}

static int write_waiting(const struct journal *j)
{
    for (size_t done = 0; done < j->waiting.size;) {
        ssize_t n = pwrite(j->fd, j->waiting.data + done, j->waiting.size - done,
                           (off_t)(j->mark.bytes + (int64_t)done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        done += (size_t)n;
    }
    return fdatasync(j->fd) < 0 ? -errno : 0;
}

int journal_flush(struct journal *journal, struct err *e)
{
    struct journal *j = journal;
    if (j->waiting.size == 0) return 0;
    int rc = write_waiting(j);
    if (rc < 0) {
        (void)!ftruncate(j->fd, (off_t)j->mark.bytes); /* best effort, the first error counts */
        return err_set(e, rc, "%s: %s", j->path, err_text(rc));
    }
    j->mark.bytes += (int64_t)j->waiting.size;
    j->mark.crc = crc32c(j->mark.crc, j->waiting.data, j->waiting.size);
    buf_clear(&j->waiting);
    return 0;
}

struct journal_mark journal_mark(const struct journal *journal)
{
    return journal->mark;
}
