/* Looking at every file of a folder before the first is used.
 *
 * A file that cannot be read must be said now and not in the middle of an epoch, and all of them at
 * once, since who repairs one after the other starts again for each. So every file is read and
 * decoded, on all processors; what is kept of it is its size and its digest. Files stay where they
 * are and may change: who reads one again compares. */
#include "config.h"

#include "dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "folder_list.h"

enum { ARENA_SLACK = 4096 };

/* A file that cannot be read. */
struct broken {
    size_t index;
    struct err why;
};

struct lane {
    struct broken *told; /* the first DATASET_BROKEN_TOLD of its range */
    size_t n_told;
    struct err failed; /* what is no file's fault */
};

struct check {
    struct dataset *set;
    struct lane *lanes;
    atomic_bool given_up; /* a lane has failed: the others need not go on */
};

static int64_t modified_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int decode(const char *bytes, struct dataset_file *f, struct err *e)
{
    /* Whether it can be decoded does not depend on the size it is decoded at, but for the memory
     * that this takes, and a crop may ask for all pixels. */
    static const struct image_decoding decoding = {.limits = &image_limits_default, .want = {1, 1}};
    struct image image;
    struct image_info info;
    int rc = image_probe(bytes, f->size, &info, e);
    if (rc == 0) rc = image_check_limits(&info, decoding.limits, (struct image_want){0, 0}, e);
    if (rc < 0) return rc;
    struct arena *arena = arena_new(image_arena_bytes(info.width, info.height) + ARENA_SLACK);
    if (arena == NULL) return err_set(e, -ENOMEM, "no memory to decode it");
    rc = image_decode(bytes, f->size, &decoding, arena, &image, e);
    if (rc == 0) {
        f->width = image.full_width;
        f->height = image.full_height;
    }
    arena_free(arena);
    return rc;
}

/* What can be said without reading it. */
static int check_entry(struct dataset_file *f, struct err *e)
{
    struct stat st;
    if (folder_list_is_other(f->name))
        return err_set(e, ERR_UNSUPPORTED,
                       "only JPEG and PNG images are read; convert it or take it away");
    if (stat(f->name, &st) < 0) {
        return err_set(e, -errno, "%s%s", err_text(-errno),
                       errno == ENOENT ? "; it is a link that leads nowhere" : "");
    }
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_FORMAT, "it is named like an image, but is no regular file");
    if (st.st_size == 0) return err_set(e, ERR_FORMAT, "the file is empty");
    if ((uint64_t)st.st_size > image_limits_default.bytes_max) {
        return err_set(e, ERR_LIMIT, "it is %" PRId64 " bytes long, at most %zu are taken",
                       (int64_t)st.st_size, image_limits_default.bytes_max);
    }
    f->modified_ns = modified_ns(&st);
    return 0;
}

/* The error names the file. */
static int check_file(struct dataset_file *f, uint64_t key_seed, struct err *e)
{
    char *bytes;
    int rc = check_entry(f, e);
    if (rc < 0) return err_prefix(e, "%.250s", f->name), rc;
    rc = file_read(f->name, image_limits_default.bytes_max, &bytes, &f->size, e);
    if (rc < 0) return rc;
    rc = decode(bytes, f, e);
    if (rc < 0) {
        err_prefix(e, "%.250s", f->name);
    } else {
        sha256(bytes, f->size, f->digest);
        f->key = dataset_content_key(bytes, f->size, key_seed);
    }
    mem_free(bytes);
    return rc;
}

/* Whether it is this machine that fails and not the file. */
static bool is_ours(int code)
{
    return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

static void check_lane(void *arg, unsigned index, unsigned n_lanes)
{
    struct check *check = arg;
    struct lane *lane = &check->lanes[index];
    size_t first, end;
    pool_range(check->set->count, index, n_lanes, &first, &end);
    for (size_t i = first; i < end && !atomic_load(&check->given_up); i++) {
        struct dataset_file *f = &check->set->files[i];
        struct err why = {0};
        int rc = check_file(f, check->set->key_seed, &why);
        if (rc == 0) continue;
        if (is_ours(rc)) {
            lane->failed = why;
            atomic_store(&check->given_up, true);
            return;
        }
        f->width = 0; /* of no image */
        if (lane->n_told < DATASET_BROKEN_TOLD)
            lane->told[lane->n_told++] = (struct broken){i, why};
    }
}

/* Takes the broken ones out; the order of the others stays. */
static void leave_out(struct dataset *set)
{
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->files[i].width == 0) {
            mem_free(set->files[i].name);
            continue;
        }
        set->files[n] = set->files[i];
        set->classes[n++] = set->classes[i];
    }
    set->skipped = set->count - n;
    set->count = n;
}

static size_t count_broken(const struct dataset *set)
{
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) n += set->files[i].width == 0;
    return n;
}

/* The first class that is there and would lose all its images. */
static const char *emptied_class(const struct dataset *set)
{
    for (size_t i = 0, next; i < set->count; i = next) { /* images of a class stand together */
        bool any = false;
        for (next = i; next < set->count && set->classes[next] == set->classes[i]; next++)
            any = any || set->files[next].width != 0;
        if (!any) return set->labels[set->classes[i]];
    }
    return NULL;
}

static int judge(struct dataset *set, const struct lane *lanes, unsigned n_lanes,
                 const struct dataset_options *options, struct err *e)
{
    const size_t broken = count_broken(set);
    const struct err *first = NULL;
    size_t told = 0;
    for (unsigned i = 0; i < n_lanes; i++) {
        if (lanes[i].failed.code == 0) continue;
        if (e != NULL) *e = lanes[i].failed;
        return lanes[i].failed.code;
    }
    for (unsigned i = 0; i < n_lanes; i++) {
        for (size_t k = 0; k < lanes[i].n_told && told < DATASET_BROKEN_TOLD; k++, told++) {
            if (first == NULL) first = &lanes[i].told[k].why;
            if (options->broken != NULL && (broken > 1 || options->broken_max > 0))
                options->broken(options->broken_arg, lanes[i].told[k].why.text);
        }
    }
    if (broken == 0) return 0;
    if (broken > options->broken_max) {
        if (broken == 1)
            return err_set(e, first->code, "%.450s; --skip-broken 1 goes on without it",
                           first->text);
        return err_set(e, first->code,
                       "%.330s; and %zu more of %zu images cannot be read: repair them, or go on "
                       "without them by --skip-broken %zu",
                       first->text, broken - 1, set->count, broken);
    }
    const char *emptied = emptied_class(set);
    if (emptied != NULL) {
        return err_set(
            e, ERR_FORMAT,
            "no image of the class %.200s can be read: repair one, or take the class away",
            emptied);
    }
    leave_out(set);
    return 0;
}

int folder_check(struct dataset *set, const struct dataset_options *options, struct err *e)
{
    const unsigned n = cpu_count();
    struct pool *pool = pool_new(n);
    struct check check = {set, mem_new(n, sizeof(*check.lanes)), false};
    struct broken *told = mem_new(n, DATASET_BROKEN_TOLD * sizeof(*told));
    int rc;
    if (pool == NULL || check.lanes == NULL || told == NULL) {
        rc = err_set(e, -ENOMEM, "no memory to decode %zu images", set->count);
    } else {
        for (unsigned i = 0; i < n; i++)
            check.lanes[i].told = told + (size_t)i * DATASET_BROKEN_TOLD;
        pool_run(pool, check_lane, &check);
        rc = judge(set, check.lanes, n, options, e);
    }
    mem_free(told);
    mem_free(check.lanes);
    pool_free(pool);
    return rc;
}

int dataset_file_changed(const struct dataset_file *f, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "%.250s: the file has changed since it was first read",
                   f->name);
}

/* As many bytes as the file had, and one more if there is one. */
static int read_known(int fd, const struct dataset_file *f, char *bytes, size_t *ret_size)
{
    size_t size = 0;
    while (size <= f->size) {
        ssize_t n = read(fd, bytes + size, f->size + 1 - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) break;
        size += (size_t)n;
    }
    *ret_size = size;
    return 0;
}

/* Whether the bytes that were read through fd are those of when the set was opened. The time is
 * looked at behind reading, of the file that was read: at its path there may be another one. */
static bool is_same(int fd, const struct dataset_file *f, const char *bytes, size_t size)
{
    struct stat st;
    uint8_t digest[SHA256_SIZE];
    if (size != f->size) return false;
    if (fstat(fd, &st) == 0 && modified_ns(&st) == f->modified_ns) return true;
    sha256(bytes, size, digest); /* touched; but changed? */
    return memcmp(digest, f->digest, sizeof(digest)) == 0;
}

int dataset_file_read(const struct dataset_file *f, char **ret_bytes, size_t *ret_size,
                      struct err *e)
{
    int64_t length;
    size_t size = 0;
    int fd = file_open(f->name, &length, e);
    if (fd < 0) return fd;
    char *bytes = mem_new_aligned(f->size + 1, 1);
    int rc = bytes != NULL ? read_known(fd, f, bytes, &size) : -ENOMEM;
    if (rc < 0) {
        err_set(e, rc, "cannot read %.250s: %s", f->name, err_text(rc));
    } else if (!is_same(fd, f, bytes, size)) {
        rc = dataset_file_changed(f, e);
    } else {
        *ret_bytes = bytes;
        *ret_size = size;
    }
    close(fd);
    if (rc < 0) mem_free(bytes);
    return rc;
}
