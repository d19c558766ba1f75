/* Files: limits, maps, atomic writes under every failure of write() and fsync(), trees and links.
 *
 * The linker sends the library's write() and fsync() here (--wrap), where they can be made to write
 * short, to be interrupted or to meet a full disk. */
#include "config.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static char root[] = "/tmp/test_file.XXXXXX";

static struct {
    bool on;
    size_t room;        /* bytes until the disk is full */
    size_t most;        /* bytes that one write() takes */
    bool interrupts;    /* every second write() is interrupted */
    int fsync_fails_at; /* 1: the file's, 2: the directory's */
    int fsync_errno;
    unsigned writes, fsyncs;
} disk;

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (!disk.on || fd <= STDERR_FILENO) return __real_write(fd, data, size);
    if (disk.interrupts && disk.writes++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (disk.room == 0 && size > 0) {
        errno = ENOSPC;
        return -1;
    }
    if (size > disk.most) size = disk.most;
    if (size > disk.room) size = disk.room;
    ssize_t n = __real_write(fd, data, size);
    if (n > 0) disk.room -= (size_t)n;
    return n;
}

int __wrap_fsync(int fd)
{
    if (disk.on && (int)++disk.fsyncs == disk.fsync_fails_at) {
        errno = disk.fsync_errno;
        return -1;
    }
    return __real_fsync(fd);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(root, NULL);
}

/* One of the four last paths that were asked for. */
static const char *in_root(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    assert_int_equal(file_join(path, PATH_MAX, root, name), 0);
    return path;
}

static void put(const char *path, const void *data, size_t size)
{
    const struct file_piece piece = {data, size};
    struct err e = {0};
    if (file_write_atomic(path, &piece, 1, &e) < 0) fail_msg("%s", e.text);
}

static void assert_content(const char *path, const char *want)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &data, &size, NULL), 0);
    assert_int_equal(size, strlen(want));
    assert_string_equal(data, want);
    mem_free(data);
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n - 2;
}

static void test_read_sizes(void **state)
{
    (void)state;
    enum { MAX = 20000 };
    static char data[MAX];
    for (size_t i = 0; i < MAX; i++) data[i] = (char)(i * 7);
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8191, 8192, 8193, MAX};
    const char *path = in_root("sizes");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *got;
        size_t size, n = sizes[i];
        struct err e = {0};
        put(path, data, n);
        assert_int_equal(file_size(path), n);
        for (size_t max = n; max <= n + 5000; max += 1 + max / 3) {
            assert_int_equal(file_read(path, max, &got, &size, &e), 0);
            assert_int_equal(size, n);
            assert_memory_equal(got, data, n);
            assert_int_equal(got[n], '\0');
            mem_free(got);
        }
        assert_int_equal(file_read(path, SIZE_MAX, &got, &size, &e), 0);
        mem_free(got);
        if (n == 0) continue;
        assert_int_equal(file_read(path, n - 1, &got, &size, &e), ERR_LIMIT);
        assert_non_null(strstr(e.text, path));
    }
}

/* Files whose size is not known before: stat says 0 for those in /proc. */
static void test_read_unknown_size(void **state)
{
    (void)state;
    char *data;
    size_t size;
    assert_int_equal(file_read("/proc/self/maps", 1 << 20, &data, &size, NULL), 0);
    assert_true(size > 0);
    assert_int_equal(strlen(data), size);
    mem_free(data);
    assert_int_equal(file_read("/proc/self/maps", 100, &data, &size, NULL), ERR_LIMIT);
}

static void test_read_errors(void **state)
{
    (void)state;
    char *data;
    size_t size;
    struct err e = {0};
    const char *missing = in_root("missing");
    assert_int_equal(file_read(missing, 10, &data, &size, &e), -ENOENT);
    assert_non_null(strstr(e.text, missing));
    assert_int_equal(file_read(root, 10, &data, &size, &e), -EISDIR);
    assert_int_equal(file_size(missing), -ENOENT);
    assert_false(file_exists(missing));
    assert_true(file_exists(root));
    const char *path = in_root("some");
    put(path, "x", 1);
    mem_fail_at(1);
    assert_int_equal(file_read(path, 10, &data, &size, &e), -ENOMEM);
    for (unsigned n = 1; n <= 2; n++) { /* also when the buffer grows */
        mem_fail_at(n);
        assert_int_equal(file_read("/proc/self/smaps", 1 << 20, &data, &size, &e), -ENOMEM);
    }
}

/* What has no end, or never a beginning, is not read. */
static void test_read_regular_only(void **state)
{
    (void)state;
    char *data, start[4];
    size_t size;
    int64_t length;
    struct err e = {0};
    const char *fifo = in_root("fifo"), *path = in_root("socket");
    assert_int_equal(mkfifo(fifo, 0600), 0); /* nobody writes */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
    const struct {
        const char *path;
        int code;
        const char *word;
    } rows[] = {{"/dev/zero", ERR_UNSUPPORTED, "a device"},
                {"/dev/null", ERR_UNSUPPORTED, "a device"},
                {fifo, ERR_UNSUPPORTED, "a FIFO"},
                {path, ERR_UNSUPPORTED, "a socket"},
                {root, -EISDIR, "directory"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(file_read(rows[i].path, 100000, &data, &size, &e), rows[i].code);
        assert_non_null(strstr(e.text, rows[i].path));
        assert_non_null(strstr(e.text, rows[i].word));
        assert_int_equal(file_read_start(rows[i].path, 4, start, &size, &length, &e), rows[i].code);
        assert_int_equal(file_open(rows[i].path, &length, &e), rows[i].code);
    }
    close(s);
}

static void test_read_start(void **state)
{
    (void)state;
    char start[4];
    size_t size;
    int64_t length;
    const char *path = in_root("start");
    put(path, "content", 7);
    assert_int_equal(file_read_start(path, sizeof(start), start, &size, &length, NULL), 0);
    assert_int_equal(size, 4);
    assert_int_equal(length, 7);
    assert_memory_equal(start, "cont", 4);
    put(path, "abc", 3);
    assert_int_equal(file_read_start(path, sizeof(start), start, &size, &length, NULL), 0);
    assert_int_equal(size, 3);
}

static void test_write_parts(void **state)
{
    (void)state;
    const struct file_piece pieces[] = {{"one ", 4}, {NULL, 0}, {"two ", 4}, {"three", 5}};
    const char *path = in_root("parts");
    assert_int_equal(file_write_atomic(path, pieces, 4, NULL), 0);
    assert_content(path, "one two three");
    assert_int_equal(file_write_atomic(path, NULL, 0, NULL), 0);
    assert_content(path, "");
    /* The mode is what any new file of this user gets. */
    mode_t mask = umask(027);
    put(path, "x", 1);
    umask(mask);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void test_write_short_and_interrupted(void **state)
{
    (void)state;
    const struct file_piece pieces[] = {{"abcdefg", 7}, {"hijklmnopq", 10}};
    const char *path = in_root("short");
    for (size_t most = 1; most < 11; most++) {
        memset(&disk, 0, sizeof(disk));
        disk.room = 1000;
        disk.most = most;
        disk.interrupts = true;
        disk.on = true;
        int rc = file_write_atomic(path, pieces, 2, NULL);
        disk.on = false;
        assert_int_equal(rc, 0);
        assert_int_equal(disk.fsyncs, 2); /* the file and the directory */
        assert_content(path, "abcdefghijklmnopq");
    }
}

/* A disk that is full after any number of bytes: the old content stays, nothing is left behind. */
static void test_write_full_disk(void **state)
{
    (void)state;
    const char *dir = in_root("full"), *path = in_root("full/file");
    assert_int_equal(mkdir(dir, 0700), 0);
    put(path, "old", 3);
    const struct file_piece pieces[] = {{"new ", 4}, {"content", 7}};
    for (size_t room = 0; room <= 11; room++) {
        memset(&disk, 0, sizeof(disk));
        disk.room = room;
        disk.most = 3;
        disk.on = true;
        struct err e = {0};
        int rc = file_write_atomic(path, pieces, 2, &e);
        disk.on = false;
        if (room == 11) {
            assert_int_equal(rc, 0);
            assert_content(path, "new content");
        } else {
            assert_int_equal(rc, -ENOSPC);
            assert_non_null(strstr(e.text, path));
            assert_non_null(strstr(e.text, "free some space"));
            assert_content(path, "old");
        }
        assert_int_equal(count_entries(dir), 1);
    }
}

static void test_write_fsync_fails(void **state)
{
    (void)state;
    const char *dir = in_root("sync"), *path = in_root("sync/file");
    assert_int_equal(mkdir(dir, 0700), 0);
    static const struct {
        int at, error, rc;
        const char *content;
    } rows[] = {
        {1, EIO, -EIO, "old"}, /* of the file: nothing has happened */
        {2, EIO, -EIO, "new"}, /* of the directory: renamed already, but said */
        {2, EINVAL, 0, "new"}, /* a file system without it */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        put(path, "old", 3);
        memset(&disk, 0, sizeof(disk));
        disk.room = disk.most = 1000;
        disk.fsync_fails_at = rows[i].at;
        disk.fsync_errno = rows[i].error;
        disk.on = true;
        int rc = file_write_atomic(path, &(struct file_piece){"new", 3}, 1, NULL);
        disk.on = false;
        assert_int_equal(rc, rows[i].rc);
        assert_content(path, rows[i].content);
        assert_int_equal(count_entries(dir), 1);
    }
}

static void test_write_errors(void **state)
{
    (void)state;
    const struct file_piece piece = {"x", 1};
    struct err e = {0};
    assert_int_equal(file_write_atomic(in_root("no/such/dir"), &piece, 1, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such/dir"));
    assert_int_equal(file_write_atomic(in_root("trailing/"), &piece, 1, &e), -EISDIR);
    assert_int_equal(file_write_atomic("", &piece, 1, &e), -EISDIR);
    unsigned before = count_entries(root);
    char *longest = mem_new(5000, 1);
    memset(longest, 'a', 256); /* NAME_MAX and one */
    assert_int_equal(file_write_atomic(in_root(longest), &piece, 1, &e), -ENAMETOOLONG);
    memset(longest, 'a', 4998);
    longest[4990] = '/';
    assert_int_equal(file_write_atomic(longest, &piece, 1, &e), -ENAMETOOLONG);
    mem_free(longest);
    assert_int_equal(mkdir(in_root("is-a-dir"), 0700), 0);
    assert_int_equal(file_write_atomic(in_root("is-a-dir"), &piece, 1, &e), -EISDIR);
    assert_int_equal(count_entries(root), before + 1);
}

/* As /dev/stdout is: a link to what is no file. Both must still be there. */
static void test_write_special(void **state)
{
    (void)state;
    const struct file_piece piece = {"x", 1};
    struct stat st;
    struct err e = {0};
    assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
    assert_int_equal(symlink("pipe", in_root("link-to-pipe")), 0);
    unsigned before = count_entries(root);
    assert_int_equal(file_write_atomic(in_root("pipe"), &piece, 1, &e), -EEXIST);
    assert_non_null(strstr(e.text, "pipe: it is no regular file"));
    assert_int_equal(file_write_atomic(in_root("link-to-pipe"), &piece, 1, &e), -EEXIST);
    assert_int_equal(lstat(in_root("pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(lstat(in_root("link-to-pipe"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_entries(root), before);
    put(in_root("target"), "old", 3);
    assert_int_equal(symlink("target", in_root("link-to-file")), 0);
    assert_int_equal(file_write_atomic(in_root("link-to-file"), &piece, 1, &e), 0);
}

/* A relative path, and what a crashed process with the same id has left in the way. */
static void test_write_relative(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_root("relative"), 0700), 0);
    int here = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(chdir(in_root("relative")), 0);
    for (int i = 0; i < 100; i++) {
        char name[64];
        snprintf(name, sizeof(name), ".ad-%ld-%d.tmp", (long)getpid(), i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        close(fd);
    }
    put("plain", "x", 1);
    assert_content("plain", "x");
    assert_int_equal(count_entries("."), 101);
    assert_int_equal(fchdir(here), 0);
    close(here);
}

static void test_make_dirs(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    mode_t mask = umask(0);
    assert_int_equal(file_make_dirs(in_root("a/b//c/"), &e), 0);
    umask(mask);
    assert_int_equal(stat(in_root("a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(file_make_dirs(in_root("a/b/c"), &e), 0); /* again */
    assert_int_equal(file_make_dirs("/", &e), 0);
    put(in_root("a/file"), "x", 1);
    assert_int_equal(file_make_dirs(in_root("a/file"), &e), -ENOTDIR);
    assert_int_equal(file_make_dirs(in_root("a/file/d"), &e), -ENOTDIR);
    assert_non_null(strstr(e.text, "a/file"));
    assert_int_equal(file_make_dirs("", &e), -ENOENT);
    assert_int_equal(symlink("b", in_root("a/link")), 0);
    assert_int_equal(file_make_dirs(in_root("a/link/new"), &e), 0);
    assert_true(file_exists(in_root("a/b/new")));
}

static void test_remove_tree(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_make_dirs(in_root("keep"), &e), 0);
    put(in_root("keep/precious"), "gold", 4);
    assert_int_equal(file_make_dirs(in_root("tree/x/y/z"), &e), 0);
    put(in_root("tree/x/file"), "1", 1);
    put(in_root("tree/x/y/z/.hidden"), "2", 1);
    assert_int_equal(symlink("../../keep", in_root("tree/x/to-dir")), 0);
    assert_int_equal(symlink("../keep/precious", in_root("tree/to-file")), 0);
    assert_int_equal(symlink("nowhere", in_root("tree/dangling")), 0);
    assert_int_equal(file_remove_tree(in_root("tree"), &e), 0);
    assert_false(file_exists(in_root("tree")));
    assert_content(in_root("keep/precious"), "gold");

    assert_int_equal(file_remove_tree(in_root("tree"), &e), 0); /* missing is fine */
    assert_int_equal(symlink("keep", in_root("link")), 0);
    assert_true(file_remove_tree(in_root("link"), &e) < 0); /* a link is no directory */
    assert_content(in_root("keep/precious"), "gold");
    assert_int_equal(file_remove_tree(in_root("keep/precious"), &e), -ENOTDIR);
    assert_non_null(strstr(e.text, "keep/precious"));
}

static void test_join(void **state)
{
    (void)state;
    char path[8];
    assert_int_equal(file_join(path, sizeof(path), "abc", "def"), 0);
    assert_string_equal(path, "abc/def"); /* exactly full */
    assert_int_equal(file_join(path, sizeof(path), "abc", "defg"), ERR_LIMIT);
    assert_string_equal(path, "abc/def"); /* as it was */
    assert_int_equal(file_join(path, sizeof(path), "ab/", "c"), 0);
    assert_string_equal(path, "ab/c");
    assert_int_equal(file_join(path, sizeof(path), "", "c"), 0);
    assert_string_equal(path, "c");
    assert_int_equal(file_join(path, sizeof(path), "abcdefg", ""), ERR_LIMIT);
    assert_int_equal(file_join(path, sizeof(path), "abcdefgh", ""), ERR_LIMIT);
    assert_int_equal(file_join(path, sizeof(path), "/", "abcdef"), 0);
    assert_string_equal(path, "/abcdef");
}

/* In a child, which may lose what it stands on. */
static void test_standard(void **state)
{
    (void)state;
    for (int closed = 0; closed < 8; closed++) {
        pid_t child = fork();
        if (child == 0) {
            struct stat null, st;
            stat("/dev/null", &null);
            for (int fd = 0; fd < 3; fd++)
                if (closed & 1 << fd) close(fd);
            if (file_open_standard() != 0) _exit(1);
            for (int fd = 0; fd < 3; fd++)
                if ((closed & 1 << fd) && (fstat(fd, &st) != 0 || st.st_rdev != null.st_rdev))
                    _exit(2);
            int next = open("/dev/null", O_RDONLY);
            _exit(next > 2 ? 0 : 3);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_sizes),
        cmocka_unit_test(test_read_unknown_size),
        cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_read_regular_only),
        cmocka_unit_test(test_read_start),
        cmocka_unit_test(test_write_parts),
        cmocka_unit_test(test_write_short_and_interrupted),
        cmocka_unit_test(test_write_full_disk),
        cmocka_unit_test(test_write_fsync_fails),
        cmocka_unit_test(test_write_errors),
        cmocka_unit_test(test_write_special),
        cmocka_unit_test(test_write_relative),
        cmocka_unit_test(test_make_dirs),
        cmocka_unit_test(test_remove_tree),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_standard),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
