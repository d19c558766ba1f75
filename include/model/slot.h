/* A slot holds the current version of a model. Readers take a reference and keep what they took;
 * the one writer exchanges. One lock, held for a pointer's worth of work. Any thread. */
#ifndef MODEL_SLOT_H
#define MODEL_SLOT_H

#include "model/model.h"

struct slot;

struct slot *slot_new(void);       /* empty */
void slot_free(struct slot *slot); /* drops its reference */

struct model *slot_acquire(struct slot *slot); /* a new reference, or NULL while empty */

/* Puts model in (the slot takes over the caller's reference) and drops the old version. */
void slot_exchange(struct slot *slot, struct model *model);

#endif
