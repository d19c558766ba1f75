/* See versions.h. The lock makes "read the pointer and count a reference" one step, so that a
 * version cannot retire between the two; none retires while it is held. */
#include "config.h"

#include "versions.h"

#include <stdio.h>
#include <string.h>

void versions_init(struct versions *versions)
{
    pthread_mutex_init(&versions->lock, NULL);
    versions->count = 0;
}

void versions_release(struct versions *versions)
{
    for (size_t i = 0; i < versions->count; i++) version_unref(versions->current[i].version);
    pthread_mutex_destroy(&versions->lock);
}

/* Lock held. */
static struct version **find(struct versions *versions, const char *name)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (name[0] == '\0' || strcmp(versions->current[i].name, name) == 0)
            return &versions->current[i].version;
    }
    return NULL;
}

struct version *versions_acquire(struct versions *versions, const char *name)
{
    pthread_mutex_lock(&versions->lock);
    struct version **place = find(versions, name);
    struct version *version = place != NULL ? version_acquire(*place) : NULL;
    pthread_mutex_unlock(&versions->lock);
    return version;
}

size_t versions_names(struct versions *versions, const char **ret_names, size_t max)
{
    pthread_mutex_lock(&versions->lock);
    size_t n = versions->count < max ? versions->count : max;
    for (size_t i = 0; i < n; i++) ret_names[i] = versions->current[i].name;
    pthread_mutex_unlock(&versions->lock);
    return n;
}

int versions_exchange(struct versions *versions, struct version *version, struct err *e)
{
    const char *name = version_model(version)->name;
    struct version *before = NULL;
    pthread_mutex_lock(&versions->lock);
    struct version **place = find(versions, name);
    bool full = place == NULL && versions->count == MODELS_MAX;
    if (place == NULL && !full) {
        snprintf(versions->current[versions->count].name, MODEL_NAME_MAX + 1, "%s", name);
        place = &versions->current[versions->count++].version;
    }
    if (!full) {
        before = *place;
        *place = version;
    }
    pthread_mutex_unlock(&versions->lock);
    if (full)
        return err_set(e, ERR_LIMIT,
                       "model %s: %d models are served already, as many as there may be", name,
                       MODELS_MAX);
    version_unref(before);
    return 0;
}
