/* The split into training and held-out images: a key a image, sorted.
 *
 * The key is the digest of (seed, content); the images with the smallest keys are held out. Images
 * of equal content have equal keys, so the border is moved behind the last copy. The whole digest
 * is compared, since a prefix could order two different images by their index, which must not
 * matter.
 */
#include "config.h"

#include "data/split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"

struct key {
    uint8_t digest[SHA256_SIZE];
    uint32_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = memcmp(x->digest, y->digest, SHA256_SIZE);
    if (order != 0) return order;
    return (x->index > y->index) - (x->index < y->index);
}

/* Sorted keys of all images; NULL when out of memory. */
static struct key *make_keys(const struct dataset *set, uint64_t seed)
{
    size_t count = dataset_count(set);
    size_t largest = 0, size;
    for (size_t i = 0; i < count; i++) {
        dataset_content(set, i, &size);
        if (size > largest) largest = size;
    }
    struct key *keys = mem_new(count, sizeof(*keys));
    uint8_t *message = mem_new(largest + 8, 1);
    if (keys == NULL || message == NULL) {
        mem_free(keys);
        mem_free(message);
        return NULL;
    }
    for (int i = 0; i < 8; i++) message[i] = (uint8_t)(seed >> (8 * i));
    for (size_t i = 0; i < count; i++) {
        const void *content = dataset_content(set, i, &size);
        memcpy(message + 8, content, size);
        sha256(message, size + 8, keys[i].digest);
        keys[i].index = (uint32_t)i;
    }
    mem_free(message);
    qsort(keys, count, sizeof(*keys), compare_keys);
    return keys;
}

int split_make(const struct dataset *set, size_t holdout, uint64_t seed, struct split *ret_split,
               struct err *e)
{
    size_t count = dataset_count(set), n_holdout = holdout;
    if (holdout >= count) {
        return err_set(e, ERR_RANGE,
                       "%zu images cannot be held out of %zu; some must be left to train on",
                       holdout, count);
    }
    uint32_t *block = mem_new(count, sizeof(*block));
    uint8_t *held = mem_new(count, 1);
    struct key *keys = NULL;
    int rc = -ENOMEM;
    if (block == NULL || held == NULL) goto out;
    if (holdout > 0) {
        keys = make_keys(set, seed);
        if (keys == NULL) goto out;
        while (n_holdout < count &&
               memcmp(keys[n_holdout].digest, keys[n_holdout - 1].digest, SHA256_SIZE) == 0) {
            n_holdout++;
        }
        for (size_t i = 0; i < n_holdout; i++) held[keys[i].index] = 1;
    }
    rc = ERR_RANGE;
    if (n_holdout == count) goto out;

    ret_split->train = block;
    ret_split->holdout = block + (count - n_holdout);
    ret_split->n_train = ret_split->n_holdout = 0;
    for (size_t i = 0; i < count; i++) {
        if (held[i]) {
            ret_split->holdout[ret_split->n_holdout++] = (uint32_t)i;
        } else {
            ret_split->train[ret_split->n_train++] = (uint32_t)i;
        }
    }
    block = NULL;
    rc = 0;
out:
    mem_free(block);
    mem_free(held);
    mem_free(keys);
    if (rc == -ENOMEM) return err_set(e, rc, "no memory to split %zu images", count);
    if (rc == ERR_RANGE) {
        return err_set(
            e, rc,
            "holding out %zu of %zu images takes all of them, since the rest are copies; "
            "hold out fewer",
            holdout, count);
    }
    return rc;
}

void split_release(struct split *split)
{
    mem_free(split->train); /* the beginning of the one block */
    *split = (struct split){NULL, NULL, 0, 0};
}
