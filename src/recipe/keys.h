/* Lists of keys: numbers of 64 bits that increase. In texts each stands behind a blank, in 16
 * hexadecimal digits. */
#ifndef SRC_RECIPE_KEYS_H
#define SRC_RECIPE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_DIGITS = 16 };

/* Where the key stands, or would. */
size_t keys_find(const uint64_t *keys, size_t n, uint64_t key);
bool keys_have(const uint64_t *keys, size_t n, uint64_t key);

/* Sorts them and drops doubles; returns how many are left. */
size_t keys_sort(uint64_t *keys, size_t n);

/* Goes behind a word; NULL when another one stands there, or at is NULL. */
const char *keys_behind(const char *at, const char *word);

/* Goes behind one key. NULL when none stands there. */
const char *keys_read_one(const char *at, uint64_t *ret_key);

/* How many keys stand here, and no fewer than keys_read() can read. */
size_t keys_count(const char *at);

/* Goes behind a list of n > 0. NULL when there is another one, or it does not increase. */
const char *keys_read(const char *at, size_t n, uint64_t *ret_keys);

/* Writes a list behind a word, nothing where it is empty: at most the word's length and KEY_DIGITS
 * + 1 a key, and a NUL. Returns the number of characters. */
size_t keys_put(char *text, size_t size, const char *word, const uint64_t *keys, size_t n);

#endif
