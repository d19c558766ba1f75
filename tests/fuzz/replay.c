/* The main of a fuzz target that is not linked with libFuzzer: feeds it every file of the
 * directories given, or of corpus/NAME beside this source for the program fuzz_NAME, and mutations
 * of each. TAP.
 *
 * The mutations make `make check` a small fuzzer that finds the same things on every machine. A
 * target that fails ends the program; the last line on stderr then names the input. */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fuzz.h"

enum { INPUT_MAX = 1 << 20, MUTATIONS = 200, SEED = 1 };

static size_t n_inputs, n_files;

/* A copy of exactly the size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_new(size, 1);
    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    mem_free(copy);
    n_inputs++;
}

/* One to four changes: a byte, a bit, a cut, a piece repeated. Returns the new size, at most 2
 * size. */
static size_t mutate(struct rng *rng, uint8_t *data, size_t size)
{
    for (uint32_t n = 1 + rng_below(rng, 4); n > 0 && size > 0; n--) {
        size_t at = rng_below(rng, (uint32_t)size), length;
        switch (rng_below(rng, 5)) {
        case 0:
            data[at] = (uint8_t)rng_below(rng, 256);
            break;
        case 1:
            data[at] ^= (uint8_t)(1 << rng_below(rng, 8));
            break;
        case 2: /* a digit, since texts are full of them */
            data[at] = (uint8_t)('0' + rng_below(rng, 10));
            break;
        case 3:
            size = at;
            break;
        default:
            length = rng_below(rng, (uint32_t)(size - at)) / 4;
            memmove(data + at + length, data + at, size - at);
            size += length;
            break;
        }
    }
    return size;
}

static bool replay_file(const char *path)
{
    char *data;
    size_t size;
    struct err e = {0};
    if (file_read(path, INPUT_MAX, &data, &size, &e) < 0) {
        printf("# %s\n", e.text);
        return false;
    }
    fprintf(stderr, "# %s\n", path);
    n_files++;
    run((const uint8_t *)data, size);
    struct rng rng;
    rng_init(&rng, SEED, RNG_TEST, (uint32_t)n_files, 0);
    uint8_t *changed = mem_new(8 * size + 8, 1);
    if (changed == NULL) abort();
    for (int i = 0; i < MUTATIONS; i++) {
        memcpy(changed, data, size);
        run(changed, mutate(&rng, changed, size));
    }
    mem_free(changed);
    mem_free(data);
    return true;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool replay_directory(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, visible, alphasort);
    bool good = n > 0;
    if (n <= 0) printf("# no inputs in %s\n", path);
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX];
        good = file_join(file, sizeof(file), path, entries[i]->d_name) == 0 && replay_file(file) &&
               good;
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return good;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash != NULL ? slash + 1 : argv[0];
    bool good = true;
    printf("1..1\n");
    for (int i = 1; i < argc; i++) good = replay_directory(argv[i]) && good;
    if (argc == 1) {
        char path[PATH_MAX];
        const char *top = getenv("top_srcdir"),
                   *stem = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
        snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", stem);
        good = replay_directory(path);
    }
    run(NULL, 0);
    printf("%s 1 - %s: %zu inputs from %zu files\n", good ? "ok" : "not ok", name, n_inputs,
           n_files);
    return good ? 0 : 1;
}
