/* CIFAR-100 in its official binary layout (Krizhevsky 2009): train.bin and test.bin are records of
 * one byte coarse label, one byte fine label and 3072 bytes of pixels, plane after plane (red,
 * green, blue), row-major. The fine labels are the classes; their names stand in
 * fine_label_names.txt.
 *
 * Planes are interleaved while reading, since everything else here works on [height][width][3]. The
 * number of records is whatever the file holds: cut-down sets are welcome, broken ones are not. */
#include "config.h"

#include "dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum {
    SIDE = 32,
    PLANE = SIDE * SIDE,
    RECORD = 2 + 3 * PLANE,
    COARSE_CLASSES = 20,
    FINE_CLASSES = 100,
    NAMES_MAX_BYTES = 64 * 1024,
};

static const char names_file[] = "fine_label_names.txt";

/* Channel mean and deviation of train.bin. */
static const float cifar100_mean[3] = {0.5071f, 0.4865f, 0.4409f};
static const float cifar100_std[3] = {0.2673f, 0.2564f, 0.2762f};

/* The directory that holds the files: dir, or the one that the archive unpacks into it. */
static int find_directory(const char *dir, const char *file, char *ret_path, size_t size,
                          struct err *e)
{
    static const char *const inside[] = {"", "cifar-100-binary"};
    char candidate[PATH_MAX], path[PATH_MAX];
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        if (file_join(candidate, sizeof candidate, dir, inside[i]) < 0 ||
            file_join(path, sizeof path, candidate, file) < 0) {
            return err_set(e, -ENAMETOOLONG, "cifar100: the path %.200s... is too long", dir);
        }
        if (!file_exists(path)) continue;
        if (strlen(candidate) >= size) break;
        strcpy(ret_path, candidate);
        return 0;
    }
    return err_set(e, ERR_NOT_FOUND,
                   "cifar100: there is no %s in %.300s; name the directory cifar-100-binary of the "
                   "binary version of CIFAR-100",
                   file, dir);
}

/* One name a line, exactly as many as there are classes. */
static int read_names(const char *path, struct dataset *set, struct err *e)
{
    size_t size;
    int rc = file_read(path, NAMES_MAX_BYTES, &set->label_text, &size, e);
    if (rc < 0) return rc;
    set->labels = mem_new(FINE_CLASSES, sizeof *set->labels);
    if (set->labels == NULL) return err_set(e, -ENOMEM, "no memory for the names of %s", path);

    int n = 0;
    char *end = set->label_text + size;
    for (char *line = set->label_text; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) stop = end; /* there is a NUL */
        char *next = stop < end ? stop + 1 : end;
        *stop = '\0';
        if (stop > line && stop[-1] == '\r') stop[-1] = '\0';
        if (*line != '\0') { /* the official file ends in an empty line */
            if (n < FINE_CLASSES) set->labels[n] = line;
            n++;
        }
        line = next;
    }
    if (n != FINE_CLASSES) {
        return err_set(e, ERR_FORMAT, "%s holds %d names, but CIFAR-100 has %d classes", path, n,
                       FINE_CLASSES);
    }
    set->n_classes = FINE_CLASSES;
    return 0;
}

static int read_records(const char *path, const struct file_map *map, struct dataset *set,
                        struct err *e)
{
    if (map->size == 0 || map->size % RECORD != 0) {
        return err_set(
            e, ERR_FORMAT,
            "%s is %zu bytes long, which is not a positive multiple of the %d bytes of a "
            "record of CIFAR-100; it is damaged or something else, fetch it again",
            path, map->size, RECORD);
    }
    set->count = map->size / RECORD;
    if (set->count > UINT32_MAX) {
        return err_set(e, ERR_LIMIT, "%s holds more than %" PRIu32 " images", path, UINT32_MAX);
    }
    set->pixels = mem_new_aligned(set->count, 3 * PLANE);
    set->classes = mem_new(set->count, sizeof *set->classes);
    if (set->pixels == NULL || set->classes == NULL) {
        return err_set(e, -ENOMEM, "no memory for the %zu images of %s", set->count, path);
    }
    for (size_t i = 0; i < set->count; i++) {
        const unsigned char *record = map->data + i * RECORD, *plane = record + 2;
        uint8_t *pixels = set->pixels + i * 3 * PLANE;
        if (record[0] >= COARSE_CLASSES || record[1] >= FINE_CLASSES) {
            bool fine = record[0] < COARSE_CLASSES;
            return err_set(
                e, ERR_FORMAT,
                "%s: record %zu has the %s label %d, which must be below %d; the file is "
                "damaged or not CIFAR-100",
                path, i, fine ? "fine" : "coarse", record[fine ? 1 : 0],
                fine ? FINE_CLASSES : COARSE_CLASSES);
        }
        set->classes[i] = record[1];
        for (size_t p = 0; p < PLANE; p++) {
            for (size_t c = 0; c < 3; c++) pixels[3 * p + c] = plane[c * PLANE + p];
        }
    }
    return 0;
}

int cifar100_read(const char *dir, enum data_part part, struct dataset *set, struct err *e)
{
    const char *file = part == DATA_TRAIN ? "train.bin" : "test.bin";
    char found[PATH_MAX], path[PATH_MAX];
    int rc = find_directory(dir, file, found, sizeof found, e);
    if (rc < 0) return rc;

    if (file_join(path, sizeof path, found, names_file) < 0) {
        return err_set(e, -ENAMETOOLONG, "cifar100: the path %.200s... is too long", found);
    }
    rc = read_names(path, set, e);
    if (rc < 0) return rc;

    struct file_map map;
    if (file_join(path, sizeof path, found, file) < 0) {
        return err_set(e, -ENAMETOOLONG, "cifar100: the path %.200s... is too long", found);
    }
    rc = file_map(path, &map, e);
    if (rc < 0) return rc;
    rc = read_records(path, &map, set, e);
    file_unmap(&map);
    if (rc < 0) return rc;

    set->width = set->height = SIDE;
    memcpy(set->mean, cifar100_mean, sizeof set->mean);
    memcpy(set->std, cifar100_std, sizeof set->std);
    return 0;
}
