/* Data sets: the table of known kinds and the accessors.
 *
 * CIFAR is wholly in memory: its 50,000 images are 154 MB of pixels, and every epoch wants all of
 * them in another order. Photographs stay on the disk, so that a set may be larger than memory;
 * reading a file that the system still has costs a hundredth of decoding it. */
#include "config.h"

#include "data/dataset.h"
#include "dataset.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "view_cache.h"

static const struct kind {
    const char *name;
    int (*read)(const char *dir, enum data_part part, const struct dataset_options *options,
                struct dataset *set, struct err *e);
} kinds[] = {
    {"cifar100", cifar100_read},
    {"cifar10", cifar10_read},
    {"folder", folder_read},
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* "cifar100:DIR, ..." for messages. */
static const char *known_kinds(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_KINDS; i++) {
        const char *parts[] = {i > 0 ? ", " : "", kinds[i].name, ":DIR"};
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
            size_t n = strlen(parts[k]);
            if (n >= size - used) return text;
            memcpy(text + used, parts[k], n + 1);
            used += n;
        }
    }
    return text;
}

int dataset_open(const char *source, enum data_part part, const struct dataset_options *options,
                 struct dataset **ret_set, struct err *e)
{
    static const struct dataset_options none = {0};
    char known[256];
    const char *colon = strchr(source, ':');
    if (colon == NULL || colon[1] == '\0') {
        return err_set(e, ERR_USAGE, "data source '%.200s' is not KIND:DIR; known are %s", source,
                       known_kinds(known, sizeof(known)));
    }
    size_t length = (size_t)(colon - source);
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strlen(kinds[i].name) != length || memcmp(kinds[i].name, source, length) != 0) continue;

        struct dataset *set = mem_new(1, sizeof(*set));
        if (set == NULL) return err_set(e, -ENOMEM, "no memory for the data set %.200s", source);
        if (options == NULL) options = &none;
        set->key_seed = options->key_seed;
        int rc = kinds[i].read(colon + 1, part, options, set, e);
        if (rc < 0) {
            dataset_free(set);
            return rc;
        }
        set->kind = kinds[i].name;
        *ret_set = set;
        return 0;
    }
    return err_set(e, ERR_USAGE, "data source '%.200s' is of unknown kind; known are %s", source,
                   known_kinds(known, sizeof(known)));
}

void dataset_free(struct dataset *set)
{
    if (set == NULL) return;
    mem_free(set->pixels);
    for (size_t i = 0; set->files != NULL && i < set->count; i++) {
        mem_free(set->files[i].name);
    }
    view_cache_free(set->kept);
    mem_free(set->files);
    mem_free(set->classes);
    mem_free(set->labels);
    mem_free(set->label_text);
    mem_free(set);
}

size_t dataset_count(const struct dataset *set)
{
    return set->count;
}

size_t dataset_skipped(const struct dataset *set)
{
    return set->skipped;
}

int dataset_width(const struct dataset *set)
{
    return set->width;
}

int dataset_height(const struct dataset *set)
{
    return set->height;
}

int dataset_classes(const struct dataset *set)
{
    return set->n_classes;
}

const char *dataset_label(const struct dataset *set, int class_index)
{
    assert(class_index >= 0 && class_index < set->n_classes);
    return set->labels[class_index];
}

int32_t dataset_class(const struct dataset *set, size_t i)
{
    assert(i < set->count);
    return set->classes[i];
}

const uint8_t *dataset_pixels(const struct dataset *set, size_t i)
{
    assert(i < set->count && set->pixels != NULL);
    return set->pixels + i * (size_t)set->height * (size_t)set->width * 3;
}

int dataset_image(const struct dataset *set, size_t i, struct image_want want, struct arena *arena,
                  struct image *ret_image, struct err *e)
{
    if (set->files == NULL) {
        /* Nobody writes to an image's pixels; the type has no const since decoding must. */
        uint8_t *pixels = set->pixels + i * (size_t)set->height * (size_t)set->width * 3;
        *ret_image = image_of_pixels(set->width, set->height, pixels);
        return 0;
    }
    const struct dataset_file *file = &set->files[i];
    const struct image_decoding decoding = {.limits = &image_limits_default, .want = want};
    char *bytes;
    size_t size;
    int rc = dataset_file_read(file, &bytes, &size, e);
    if (rc < 0) return rc;
    rc = image_decode(bytes, size, &decoding, arena, ret_image, e);
    mem_free(bytes);
    if (rc < 0) {
        err_prefix(e, "%.250s", file->name);
    } else if (ret_image->full_width != file->width || ret_image->full_height != file->height) {
        rc = dataset_file_changed(file, e); /* and callers rely on what the sides were */
    }
    return rc;
}

size_t dataset_image_bytes(const struct dataset *set, size_t i)
{
    if (set->files == NULL) return 0;
    const struct dataset_file *file = &set->files[i];
    return image_arena_bytes(file->width, file->height);
}

uint64_t dataset_content_key(const void *content, size_t size, uint64_t seed)
{
    uint8_t salt[8], digest[SHA256_SIZE];
    uint64_t key = 0;
    for (int i = 0; i < 8; i++) salt[i] = (uint8_t)(seed >> (8 * i));
    sha256_two(salt, sizeof(salt), content, size, digest);
    for (int i = 0; i < 8; i++) key = key << 8 | digest[i];
    return key;
}

uint64_t dataset_key(const struct dataset *set, size_t i)
{
    assert(i < set->count);
    if (set->files != NULL) return set->files[i].key;
    const size_t size = (size_t)set->height * (size_t)set->width * 3;
    return dataset_content_key(set->pixels + i * size, size, set->key_seed);
}

uint64_t dataset_key_seed(const struct dataset *set)
{
    return set->key_seed;
}

int dataset_use_seed(struct dataset *set, uint64_t seed, struct err *e)
{
    for (size_t i = 0; set->files != NULL && set->key_seed != seed && i < set->count; i++) {
        char *bytes;
        size_t size;
        int rc = dataset_file_read(&set->files[i], &bytes, &size, e);
        if (rc < 0) return rc;
        set->files[i].key = dataset_content_key(bytes, size, seed);
        mem_free(bytes);
    }
    set->key_seed = seed;
    return 0;
}

int dataset_keep(struct dataset *set, const struct preprocess *p, uint64_t bytes_max, struct err *e)
{
    size_t bytes;
    assert(set->kept == NULL);
    if (set->width == p->width && set->height == p->height) return 0; /* they are there */
    int rc = mem_size(set->count, (size_t)p->width * (size_t)p->height * 3, 0, &bytes);
    if (rc < 0 || bytes > bytes_max) return 0;
    set->kept = view_cache_new(p, set->count);
    if (set->kept == NULL) return err_set(e, -ENOMEM, "no memory to keep %zu images", set->count);
    return 1;
}

const char *dataset_file(const struct dataset *set, size_t i)
{
    assert(i < set->count);
    return set->files != NULL ? set->files[i].name : NULL;
}

/* A chain of digests, so that nothing has to be put together in memory first. */
struct chain {
    uint8_t bytes[2][SHA256_SIZE]; /* of all before, of the next part */
};

static void chain_next(struct chain *chain, const uint8_t digest[SHA256_SIZE])
{
    memcpy(chain->bytes[1], digest, SHA256_SIZE);
    sha256(chain->bytes, sizeof(chain->bytes), chain->bytes[0]);
}

static void chain_add(struct chain *chain, const void *data, size_t size)
{
    uint8_t digest[SHA256_SIZE];
    sha256(data, size, digest);
    chain_next(chain, digest);
}

void dataset_digest(const struct dataset *set, char ret_text[SHA256_HEX_SIZE])
{
    struct chain chain = {{{0}, {0}}};
    const int sizes[] = {set->width, set->height, set->n_classes};
    chain_add(&chain, sizes, sizeof(sizes));
    for (int i = 0; i < set->n_classes; i++) {
        chain_add(&chain, set->labels[i], strlen(set->labels[i]));
    }
    chain_add(&chain, set->classes, set->count * sizeof(*set->classes));
    if (set->files == NULL) {
        chain_add(&chain, set->pixels, set->count * (size_t)set->height * (size_t)set->width * 3);
    }
    for (size_t i = 0; set->files != NULL && i < set->count; i++) {
        chain_next(&chain, set->files[i].digest);
    }
    sha256_hex(chain.bytes[0], ret_text);
}

const char *dataset_kind(const struct dataset *set)
{
    return set->kind;
}

void dataset_normalisation(const struct dataset *set, float ret_mean[3], float ret_std[3])
{
    memcpy(ret_mean, set->mean, sizeof(set->mean));
    memcpy(ret_std, set->std, sizeof(set->std));
}
