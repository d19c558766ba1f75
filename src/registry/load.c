/* From a version's row to a version that serves: its file read and held against what was
 * registered, the model published, while the store thread waits. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "impl.h"
#include "versions.h"

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;
};

/* On a compute worker. */
static void published(struct publication *publication)
{
    struct wait *wait = publication->owner;
    pthread_mutex_lock(&wait->lock);
    wait->over = true;
    pthread_cond_signal(&wait->wake);
    pthread_mutex_unlock(&wait->lock);
}

int publish(struct registry *registry, struct model *model, int64_t version, struct err *e)
{
    struct wait wait = {.over = false};
    struct publication publication = {
        .model = model, .number = version, .canary = true, .done = published, .owner = &wait};
    pthread_mutex_init(&wait.lock, NULL);
    pthread_cond_init(&wait.wake, NULL);
    engine_publish(registry->engine, &publication);
    pthread_mutex_lock(&wait.lock);
    while (!wait.over) pthread_cond_wait(&wait.wake, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    pthread_cond_destroy(&wait.wake);
    pthread_mutex_destroy(&wait.lock);
    if (publication.status == 0) return 0;
    err_set(e, publication.status, "version %lld of model %s cannot be put into service: %s",
            (long long)version, publication.model->name, publication.error.text);
    model_free(publication.model);
    return publication.status;
}

/* Loads a version's file and holds it against what was registered. */
static int load(const struct registry *registry, const struct version_row *row,
                struct model **ret_model, struct err *e)
{
    char path[PATH_MAX];
    struct model *model;
    if (!row->ready) {
        return err_set(e, ERR_CONFLICT, "version %lld of model %s is still being written",
                       (long long)row->number, row->model);
    }
    int rc = registry_path(registry, row->model, row->number, path, sizeof(path));
    if (rc < 0) return err_set(e, rc, "the path %s is too long", registry->directory);
    rc = model_load(path, &model, e);
    if (rc < 0) return rc;
    if (strcmp(model->sha256, row->sha256) != 0) {
        rc = err_set(e, ERR_CONFLICT,
                     "%s has changed since it was registered (SHA-256 %.12s.., was "
                     "%.12s..): restore it, or activate another version",
                     path, model->sha256, row->sha256);
        model_free(model);
        return rc;
    }
    *ret_model = model;
    return 0;
}

/* The same version from the file that was given, which is put back in its place where the disk
 * takes it. */
static int load_from_source(struct registry *registry, const struct version_row *row,
                            struct model **ret_model, struct err *e)
{
    char sha[SHA256_HEX_SIZE], path[PATH_MAX];
    struct content content = {.bytes = NULL};
    struct err why = {0};
    if (registry->source == NULL) return ERR_NOT_FOUND;
    int rc = sha256_file(registry->source, registry->bytes_max, sha, e);
    if (rc < 0) return rc;
    if (strcmp(sha, row->sha256) != 0) return ERR_NOT_FOUND;
    rc = content_read(registry, registry->source, &content, e);
    if (rc == 0 && strcmp(content.sha256, row->sha256) != 0) rc = ERR_NOT_FOUND;
    if (rc == 0) rc = model_load_bytes(content.bytes, content.size, ret_model, e);
    if (rc == 0) rc = registry_path(registry, row->model, row->number, path, sizeof(path));
    if (rc == 0 &&
        versions_restore(registry, row->model, row->number, content.bytes, content.size, &why) < 0)
        log_warning("%s is not put back in its place: %s", registry->source, why.text);
    else if (rc == 0)
        log_warning("%s was missing or damaged and is restored from %s", path, registry->source);
    mem_free(content.bytes);
    return rc;
}

int load_and_publish(struct registry *registry, const struct version_row *row, struct err *e)
{
    struct model *model;
    int rc = load(registry, row, &model, e);
    if (rc < 0 && row->ready && load_from_source(registry, row, &model, NULL) == 0) rc = 0;
    if (rc < 0) return rc;
    snprintf(model->name, sizeof(model->name), "%s", row->model);
    return publish(registry, model, row->number, e);
}

bool is_serving(const struct registry *registry, const char *name, int64_t number,
                const char *sha256)
{
    struct version *version = engine_version(registry->engine, name);
    bool same = version != NULL && version_number(version) == number &&
                strcmp(version_model(version)->sha256, sha256) == 0;
    version_unref(version);
    return same;
}

int content_read(const struct registry *registry, const char *path, struct content *ret_content,
                 struct err *e)
{
    struct model *model;
    *ret_content = (struct content){.bytes = NULL};
    int rc = file_read(path, registry->bytes_max, &ret_content->bytes, &ret_content->size, e);
    if (rc < 0) return rc;
    rc = model_load_bytes(ret_content->bytes, ret_content->size, &model, e);
    if (rc < 0) {
        err_prefix(e, "%s", path);
        return rc;
    }
    memcpy(ret_content->name, model->name, sizeof(ret_content->name));
    memcpy(ret_content->sha256, model->sha256, sizeof(ret_content->sha256));
    model_free(model);
    return 0;
}
