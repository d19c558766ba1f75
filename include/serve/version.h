/* A version of a model in service: the file's content, the plan that computes it, what computing
 * costs, and what the engine keeps for it (queues, executors, feature maps). Made by
 * engine_publish(); counted references, each request holds one. Who holds a reference sees nothing
 * change. A version may outlive its engine. Any thread. */
#ifndef SERVE_VERSION_H
#define SERVE_VERSION_H

#include <stdint.h>

#include "model/model.h"

struct version;

struct version *version_acquire(struct version *version);

/* With the last reference the version retires: engine_options.retire gets it. NULL is fine. */
void version_unref(struct version *version);

/* What it was made of; lives as long as the reference. Its name is that of the version, too. */
const struct model *version_model(const struct version *version);
int64_t version_number(const struct version *version); /* as the publication said */

/* For who retires versions: a list of them, *list NULL at first, and what it holds freed. The list
 * is the caller's to guard. */
void version_list_add(struct version **list, struct version *version);
void version_list_free(struct version *list);

#endif
