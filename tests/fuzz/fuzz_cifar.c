/* Any bytes as the files of CIFAR-100: names up to the first NUL, records behind it, padded to
 * whole ones. Refused with the file's name, or as many images as records, each of a known class. */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "fuzz.h"

enum { RECORD = 2 + 3 * 32 * 32, RECORDS_MAX = 4 };

static char directory[] = "/tmp/fuzz_cifar.XXXXXX";

static void remove_directory(void)
{
    file_remove_tree(directory, NULL);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f != NULL && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static void check_set(const struct dataset *set, size_t records)
{
    FUZZ_CHECK(dataset_count(set) == records && dataset_classes(set) == 100);
    for (int c = 0; c < 100; c++) FUZZ_CHECK(dataset_label(set, c)[0] != '\0');
    for (size_t i = 0; i < records; i++) {
        int32_t class = dataset_class(set, i);
        FUZZ_CHECK(class >= 0 && class < 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t records[RECORDS_MAX * RECORD];
    static bool made;
    if (!made) {
        FUZZ_CHECK(mkdtemp(directory) != NULL && atexit(remove_directory) == 0);
        made = true;
    }
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t names = nul != NULL ? (size_t)(nul - data) : size;
    size_t rest = size - names > 0 ? size - names - 1 : 0;
    size_t whole = (rest + RECORD - 1) / RECORD;
    if (whole > RECORDS_MAX) whole = RECORDS_MAX;
    memset(records, 0, sizeof(records));
    if (rest > 0) memcpy(records, nul + 1, rest < sizeof(records) ? rest : sizeof(records));
    write_file("fine_label_names.txt", data, names);
    write_file("test.bin", records, whole * RECORD);

    char source[PATH_MAX];
    struct dataset *set = NULL;
    struct err e = {0};
    snprintf(source, sizeof(source), "cifar100:%s", directory);
    int rc = dataset_open(source, DATA_TEST, NULL, &set, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && strstr(e.text, directory) != NULL && set == NULL);
        return 0;
    }
    check_set(set, whole);
    dataset_free(set);
    return 0;
}
