/* A made-up folder of images a class in a temporary directory; its images are those of
 * tests/image/vectors. */
#ifndef TESTS_DATA_FAKE_FOLDER_H
#define TESTS_DATA_FAKE_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char folder_directory[64], folder_source[80];

static inline void folder_path(const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", folder_directory, name);
}

/* Writes bytes at a path below the folder; directories are made. */
static inline void folder_write(const char *name, const void *data, size_t size)
{
    char path[256], dir[256];
    struct err e = {0};
    struct file_piece piece = {data, size};
    folder_path(name, path);
    strcpy(dir, path);
    *strrchr(dir, '/') = '\0';
    if (file_make_dirs(dir, &e) < 0 || file_write_atomic(path, &piece, 1, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
}

/* The content of a file of tests/image/vectors; mem_free(). */
static inline char *folder_vector(const char *vector, size_t *ret_size)
{
    const char *top = getenv("top_srcdir");
    char path[1024], *data;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/tests/image/vectors/%s", top != NULL ? top : ".", vector);
    if (file_read(path, 1 << 24, &data, ret_size, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return data;
}

static inline void folder_put(const char *name, const char *vector)
{
    size_t size;
    char *data = folder_vector(vector, &size);
    folder_write(name, data, size);
    mem_free(data);
}

static inline int folder_begin(void **state)
{
    (void)state;
    strcpy(folder_directory, "/tmp/ad-folder-XXXXXX");
    if (mkdtemp(folder_directory) == NULL) return -1;
    snprintf(folder_source, sizeof(folder_source), "folder:%s", folder_directory);
    folder_put("train/cat/b.jpg", "rgb420.jpg");          /* 34x21 */
    folder_put("train/cat/a.PNG", "rgb8.png");            /* 9x7 */
    folder_put("train/cat/c.jpeg", "turned_6_mmjpg.jpg"); /* 19x13 stored, 13x19 upright */
    folder_put("train/Dog/images/x.jpg", "grey.jpg");     /* 19x13, greyscale */
    folder_put("train/ant/1.png", "one.png");             /* 1x1 */
    folder_put("val/cat/v.jpg", "rgb444.jpg");
    return 0;
}

static inline int folder_end(void **state)
{
    (void)state;
    return file_remove_tree(folder_directory, NULL);
}

#endif
