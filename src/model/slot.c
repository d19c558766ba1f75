/* The slot: a pointer and a lock. The lock makes "read the pointer and count a reference" one step,
 * so that a version cannot be freed between the two; it is never held while a model is freed. */
#include "config.h"

#include "model/slot.h"

#include <pthread.h>

#include "base/mem.h"

struct slot {
    pthread_mutex_t lock;
    struct model *model; /* under lock; the slot's own reference */
};

struct slot *slot_new(void)
{
    struct slot *slot = mem_new(1, sizeof(*slot));
    if (slot == NULL) return NULL;
    if (pthread_mutex_init(&slot->lock, NULL) != 0) {
        mem_free(slot);
        return NULL;
    }
    return slot;
}

void slot_free(struct slot *slot)
{
    if (slot == NULL) return;
    model_unref(slot->model);
    pthread_mutex_destroy(&slot->lock);
    mem_free(slot);
}

struct model *slot_acquire(struct slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct model *model = slot->model != NULL ? model_acquire(slot->model) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return model;
}

void slot_exchange(struct slot *slot, struct model *model)
{
    pthread_mutex_lock(&slot->lock);
    struct model *old = slot->model;
    slot->model = model;
    pthread_mutex_unlock(&slot->lock);
    model_unref(old);
}
