/* Lists of keys and their texts. */
#include "config.h"

#include "keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t keys_find(const uint64_t *keys, size_t n, uint64_t key)
{
    size_t first = 0, end = n;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (keys[middle] < key)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

bool keys_have(const uint64_t *keys, size_t n, uint64_t key)
{
    const size_t at = keys_find(keys, n, key);
    return at < n && keys[at] == key;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

size_t keys_sort(uint64_t *keys, size_t n)
{
    size_t kept = 0;
    if (n > 0) qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || keys[i] != keys[kept - 1]) keys[kept++] = keys[i];
    }
    return kept;
}

const char *keys_behind(const char *at, const char *word)
{
    const size_t n = strlen(word);
    return at != NULL && strncmp(at, word, n) == 0 ? at + n : NULL;
}

const char *keys_read_one(const char *at, uint64_t *ret_key)
{
    uint64_t key = 0;
    for (int i = 0; i < KEY_DIGITS; i++) {
        const char c = at[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return NULL;
        key = key << 4 | (uint64_t)digit;
    }
    *ret_key = key;
    return at + KEY_DIGITS;
}

size_t keys_count(const char *at)
{
    return strspn(at, "0123456789abcdef ") / (KEY_DIGITS + 1);
}

const char *keys_read(const char *at, size_t n, uint64_t *ret_keys)
{
    for (size_t i = 0; i < n && at != NULL; i++) {
        at = keys_behind(at, " ");
        if (at != NULL) at = keys_read_one(at, &ret_keys[i]);
        if (at != NULL && i > 0 && ret_keys[i] <= ret_keys[i - 1]) at = NULL;
    }
    return n > 0 ? at : NULL;
}

size_t keys_put(char *text, size_t size, const char *word, const uint64_t *keys, size_t n)
{
    size_t used = n > 0 ? (size_t)snprintf(text, size, "%s", word) : 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, size - used, " %016" PRIx64, keys[i]);
    return used;
}
