/* A folder of images a class: DIR/train/CLASS/IMAGE, and DIR/val (or DIR/test) for the other part.
 *
 * Classes are the sorted names of train's subdirectories, images are sorted by name within them, so
 * that a folder is the same set everywhere. A class that has no images of its own, but a directory
 * "images", has them there (Tiny-ImageNet's layout). Here files are listed; what is in them is
 * folder_check.c's, which looks at all of them before the first is used. */
#include "config.h"

#include "dataset.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "folder_list.h"

/* What photographs of the world usually are (ImageNet's training images). */
static const float folder_mean[3] = {0.485f, 0.456f, 0.406f};
static const float folder_std[3] = {0.229f, 0.224f, 0.225f};

struct reading {
    const char *part_dir;
    struct folder_list classes;
    struct dataset *set;
    size_t capacity; /* of set->files and set->classes */
};

static int grow(struct reading *r, struct err *e)
{
    struct dataset *set = r->set;
    if (set->count < r->capacity) return 0;
    if (set->count >= UINT32_MAX / 2) {
        return err_set(e, ERR_LIMIT, "%s: more than %zu images", r->part_dir, set->count);
    }
    const size_t capacity = r->capacity == 0 ? 1024 : 2 * r->capacity;
    struct dataset_file *files = mem_grow(set->files, capacity, sizeof(*files));
    if (files != NULL) set->files = files;
    int32_t *classes = files != NULL ? mem_grow(set->classes, capacity, sizeof(*classes)) : NULL;
    if (classes == NULL) return err_set(e, -ENOMEM, "no memory for the images of %s", r->part_dir);
    set->classes = classes;
    r->capacity = capacity;
    return 0;
}

/* Notes one file; what is in it comes later. */
static int add_file(struct reading *r, const char *dir, const char *name, size_t class_index,
                    struct err *e)
{
    char path[PATH_MAX];
    struct dataset *set = r->set;
    if (file_join(path, sizeof(path), dir, name) < 0) {
        return err_set(e, -ENAMETOOLONG, "%.300s: a path in it is too long", dir);
    }
    int rc = grow(r, e);
    if (rc < 0) return rc;
    char *copy = mem_strdup(path);
    if (copy == NULL) return err_set(e, -ENOMEM, "no memory for the images of %s", r->part_dir);
    set->files[set->count] = (struct dataset_file){.name = copy};
    set->classes[set->count++] = (int32_t)class_index;
    return 0;
}

static int list_class(struct reading *r, const char *name, size_t class_index, struct err *e)
{
    char dir[PATH_MAX], inner[PATH_MAX];
    struct folder_list images = {NULL, 0, 0};
    if (file_join(dir, sizeof(dir), r->part_dir, name) < 0 ||
        file_join(inner, sizeof(inner), dir, "images") < 0) {
        return err_set(e, -ENAMETOOLONG, "%.300s: a path in it is too long", r->part_dir);
    }
    int rc = folder_list_images(dir, &images, e);
    if (rc == 0 && images.count == 0 && folder_is_directory(inner)) {
        strcpy(dir, inner);
        rc = folder_list_images(dir, &images, e);
    }
    if (rc == 0 && images.count == 0) {
        rc = err_set(
            e, ERR_FORMAT,
            "%s: there is no JPEG or PNG image in this class; fill the directory or take it "
            "away",
            dir);
    }
    for (size_t i = 0; rc == 0 && i < images.count; i++) {
        rc = add_file(r, dir, images.names[i], class_index, e);
    }
    folder_list_release(&images);
    return rc;
}

/* All classes that the part has; each must be one of the set's. */
static int list_part(struct reading *r, struct err *e)
{
    struct folder_list present = {NULL, 0, 0};
    int rc = folder_list_classes(r->part_dir, &present, e);
    for (size_t i = 0; rc == 0 && i < present.count; i++) {
        size_t class_index;
        if (!folder_list_find(&r->classes, present.names[i], &class_index)) {
            rc = err_set(e, ERR_FORMAT, "%s: %.100s is no class of the training images",
                         r->part_dir, present.names[i]);
        } else {
            rc = list_class(r, present.names[i], class_index, e);
        }
    }
    folder_list_release(&present);
    if (rc == 0 && r->set->count == 0) {
        rc = err_set(e, ERR_FORMAT, "%s: there are no images in subdirectories of it", r->part_dir);
    }
    return rc;
}

static int keep_labels(struct reading *r, struct err *e)
{
    size_t bytes = 0, n = r->classes.count;
    if (n > INT32_MAX) return err_set(e, ERR_LIMIT, "%s: too many classes", r->part_dir);
    for (size_t i = 0; i < n; i++) bytes += strlen(r->classes.names[i]) + 1;
    r->set->labels = mem_new(n, sizeof(*r->set->labels));
    r->set->label_text = mem_new(bytes, 1);
    if (r->set->labels == NULL || r->set->label_text == NULL) {
        return err_set(e, -ENOMEM, "no memory for the names of %zu classes", n);
    }
    char *at = r->set->label_text;
    for (size_t i = 0; i < n; i++) {
        r->set->labels[i] = strcpy(at, r->classes.names[i]);
        at += strlen(at) + 1;
    }
    r->set->n_classes = (int)n;
    return 0;
}

/* Where the part's classes stand, and where those stand that name them. */
static int find_parts(const char *dir, enum data_part part, char *ret_part, char *ret_train,
                      struct err *e)
{
    char test[PATH_MAX];
    if (file_join(ret_train, PATH_MAX, dir, "train") < 0 ||
        file_join(ret_part, PATH_MAX, dir, "val") < 0 ||
        file_join(test, sizeof(test), dir, "test") < 0) {
        return err_set(e, -ENAMETOOLONG, "folder: the path %.200s... is too long", dir);
    }
    const bool trained = folder_is_directory(ret_train);
    if (part == DATA_TRAIN) {
        if (!trained) {
            return err_set(e, ERR_NOT_FOUND,
                           "folder: there is no directory train in %.300s; name a directory that "
                           "holds train/CLASS/IMAGE and val/CLASS/IMAGE",
                           dir);
        }
        strcpy(ret_part, ret_train);
        return 0;
    }
    if (!folder_is_directory(ret_part)) strcpy(ret_part, test);
    if (!folder_is_directory(ret_part)) {
        return err_set(e, ERR_NOT_FOUND,
                       "folder: there is no directory val or test in %.300s; name a directory that "
                       "holds val/CLASS/IMAGE",
                       dir);
    }
    if (!trained) strcpy(ret_train, ret_part);
    return 0;
}

int folder_read(const char *dir, enum data_part part, const struct dataset_options *options,
                struct dataset *set, struct err *e)
{
    char part_dir[PATH_MAX], train_dir[PATH_MAX];
    struct reading r = {.part_dir = part_dir, .set = set};
    int rc = find_parts(dir, part, part_dir, train_dir, e);
    if (rc == 0) rc = folder_list_classes(train_dir, &r.classes, e);
    if (rc == 0) rc = list_part(&r, e);
    if (rc == 0) rc = keep_labels(&r, e);
    folder_list_release(&r.classes);
    if (rc == 0) rc = folder_check(set, options, e);
    memcpy(set->mean, folder_mean, sizeof(set->mean));
    memcpy(set->std, folder_std, sizeof(set->std));
    return rc;
}
