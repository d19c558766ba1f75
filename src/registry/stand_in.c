/* What serves in the place of what is wanted: a table behind a lock, since the loop and the reading
 * thread ask, too. As many entries as there can be models, so that noting one needs no memory. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "impl.h"

/* Lock held. */
static struct registry_stand_in *find(struct registry *registry, const char *model)
{
    for (size_t i = 0; i < registry->n_stand_ins; i++)
        if (strcmp(registry->stand_ins[i].model, model) == 0) return &registry->stand_ins[i];
    return NULL;
}

bool stand_in_set(struct registry *registry, const char *model, int64_t wanted, int64_t serving,
                  const char *reason)
{
    struct registry_stand_in now = {.wanted = wanted, .serving = serving};
    snprintf(now.model, sizeof(now.model), "%s", model);
    snprintf(now.reason, sizeof(now.reason), "%s", reason);
    bool news = true;
    pthread_mutex_lock(&registry->lock);
    struct registry_stand_in *place = find(registry, model);
    if (place != NULL) {
        news = place->wanted != wanted || place->serving != serving ||
               strcmp(place->reason, now.reason) != 0;
    } else if (registry->n_stand_ins < MODELS_MAX) {
        place = &registry->stand_ins[registry->n_stand_ins++];
    }
    if (place != NULL) *place = now;
    pthread_mutex_unlock(&registry->lock);
    return news;
}

bool stand_in_clear(struct registry *registry, const char *model)
{
    pthread_mutex_lock(&registry->lock);
    struct registry_stand_in *place = find(registry, model);
    if (place != NULL) *place = registry->stand_ins[--registry->n_stand_ins];
    pthread_mutex_unlock(&registry->lock);
    return place != NULL;
}

bool registry_stand_in(struct registry *registry, const char *model, struct registry_stand_in *ret)
{
    pthread_mutex_lock(&registry->lock);
    const struct registry_stand_in *place = find(registry, model);
    if (place != NULL) *ret = *place;
    pthread_mutex_unlock(&registry->lock);
    return place != NULL;
}

size_t registry_stand_ins(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    size_t n = registry->n_stand_ins;
    pthread_mutex_unlock(&registry->lock);
    return n;
}
