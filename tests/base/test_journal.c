/* Journals: what is put is written whole or not at all, with a disk that is full, slow or broken;
 * going on from a mark cuts off what came behind it, and refuses what somebody else has written.
 *
 * The linker sends the library's pwrite() and fdatasync() here (--wrap). */
#include "config.h"

#include "base/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/mem.h"

static char root[] = "/tmp/test_journal.XXXXXX", path[64];

static struct {
    bool on;
    int64_t room; /* bytes of the file until the disk is full */
    size_t most;  /* bytes that one pwrite() takes */
    bool interrupts, sync_fails;
    unsigned writes;
} disk;

ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t at);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t at)
{
    if (!disk.on) return __real_pwrite(fd, data, size, at);
    if (disk.interrupts && disk.writes++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (at >= disk.room) {
        errno = ENOSPC;
        return -1;
    }
    if (size > disk.most) size = disk.most;
    if ((int64_t)size > disk.room - at) size = (size_t)(disk.room - at);
    return __real_pwrite(fd, data, size, at);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return __wrap_pwrite(fd, data, size, at);
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    if (!disk.on || !disk.sync_fails) return 0;
    errno = EIO;
    return -1;
}

static int set_up(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof(disk));
    unlink(path);
    return 0;
}

static void assert_content(const char *wanted)
{
    char *text;
    size_t size;
    struct err e = {0};
    assert_int_equal(file_read(path, 1 << 20, &text, &size, &e), 0);
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(text, wanted);
    mem_free(text);
}

static struct journal *create(void)
{
    struct journal *j = NULL;
    struct err e = {0};
    assert_int_equal(journal_create(path, &j, &e), 0);
    return j;
}

static void put(struct journal *j, const char *text)
{
    assert_int_equal(journal_put(j, text, strlen(text)), 0);
}

static void test_grows(void **state)
{
    (void)state;
    struct err e = {0};
    struct journal *j = create(), *other = NULL;
    assert_int_equal(journal_create(path, &other, &e), -EEXIST);
    assert_non_null(strstr(e.text, path));
    put(j, "one\n");
    put(j, "two\n");
    assert_content("");
    assert_int_equal(journal_mark(j).bytes, 0);
    e = (struct err){0};
    assert_int_equal(journal_flush(j, &e), 0);
    assert_content("one\ntwo\n");
    assert_int_equal(journal_mark(j).bytes, 8);
    assert_int_equal(journal_mark(j).crc, crc32c(0, "one\ntwo\n", 8));
    put(j, "lost");
    journal_free(j);
    assert_content("one\ntwo\n");
}

static void test_resumes(void **state)
{
    (void)state;
    struct err e = {0};
    struct journal *j = create();
    put(j, "one\n");
    assert_int_equal(journal_flush(j, &e), 0);
    const struct journal_mark mark = journal_mark(j);
    put(j, "two, which the checkpoint does not know\n");
    assert_int_equal(journal_flush(j, &e), 0);
    journal_free(j);
    assert_int_equal(journal_resume(path, &mark, &j, &e), 0);
    assert_content("one\n");
    put(j, "2\n");
    assert_int_equal(journal_flush(j, &e), 0);
    assert_int_equal(journal_mark(j).crc, crc32c(0, "one\n2\n", 6));
    journal_free(j);
    assert_content("one\n2\n");
}

static void assert_refused(const struct journal_mark *mark, int rc)
{
    struct err e = {0};
    struct journal *j = NULL;
    assert_int_equal(journal_resume(path, mark, &j, &e), rc);
    assert_null(j);
    assert_non_null(strstr(e.text, path));
}

static void test_refuses(void **state)
{
    (void)state;
    struct err e = {0};
    const struct journal_mark good = {4, crc32c(0, "one\n", 4)}, longer = {5, good.crc},
                              other = {4, good.crc ^ 1}, less = {-1, 0};
    assert_refused(&good, -ENOENT);
    struct journal *j = create();
    put(j, "one\n");
    assert_int_equal(journal_flush(j, &e), 0);
    journal_free(j);
    assert_refused(&longer, ERR_CONFLICT);
    assert_refused(&other, ERR_CONFLICT);
    assert_refused(&less, ERR_CONFLICT);
    assert_content("one\n");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(&good, ERR_CONFLICT);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(&good, -EISDIR);
    rmdir(path);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct err e = {0};
    struct journal *j = create();
    put(j, "one\n");
    assert_int_equal(journal_flush(j, &e), 0);
    disk.on = true;
    disk.most = 2;
    disk.interrupts = true;
    for (disk.room = 4; disk.room < 8; disk.room++) {
        if (disk.room == 4) put(j, "two\n");
        e = (struct err){0};
        assert_int_equal(journal_flush(j, &e), -ENOSPC);
        assert_non_null(strstr(e.text, path));
        assert_content("one\n");
        assert_int_equal(journal_mark(j).bytes, 4);
    }
    e = (struct err){0};
    disk.sync_fails = true;
    assert_int_equal(journal_flush(j, &e), -EIO);
    assert_content("one\n");
    disk.sync_fails = false;
    put(j, "3\n");
    disk.room = 10;
    e = (struct err){0};
    assert_int_equal(journal_flush(j, &e), 0); /* what waited and what came since */
    assert_content("one\ntwo\n3\n");
    journal_free(j);
}

static void test_bound(void **state)
{
    (void)state;
    static char piece[JOURNAL_WAITING_MAX / 4];
    struct err e = {0};
    struct journal *j = create();
    size_t n = 0;
    int rc = 0;
    while ((rc = journal_put(j, piece, sizeof(piece))) == 0) n++;
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(journal_flush(j, &e), 0);
    assert_int_equal(journal_mark(j).bytes, (int64_t)(n * sizeof(piece)));
    assert_int_equal(journal_put(j, piece, sizeof(piece)), 0);
    journal_free(j);
}

static void test_no_memory(void **state)
{
    (void)state;
    int rc = -ENOMEM;
    for (int at = 1; rc < 0; at++) {
        struct err e = {0};
        struct journal *j = NULL;
        mem_fail_at(at);
        rc = journal_create(path, &j, &e);
        if (rc == 0) rc = journal_put(j, "x", 1);
        mem_fail_at(0);
        if (rc < 0) assert_int_equal(rc, -ENOMEM);
        journal_free(j);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_grows, set_up),
        cmocka_unit_test_setup(test_resumes, set_up),
        cmocka_unit_test_setup(test_refuses, set_up),
        cmocka_unit_test_setup(test_full_disk, set_up),
        cmocka_unit_test_setup(test_bound, set_up),
        cmocka_unit_test_setup(test_no_memory, set_up),
    };
    if (mkdtemp(root) == NULL) return 1;
    snprintf(path, sizeof(path), "%s/journal", root);
    int failed = cmocka_run_group_tests_name("journal", tests, NULL, NULL);
    unlink(path);
    rmdir(root);
    return failed;
}
