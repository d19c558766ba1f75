/* A recipe <-> members of the metadata "autodidact.training". */
#ifndef SRC_MODEL_METADATA_RECIPE_H
#define SRC_MODEL_METADATA_RECIPE_H

#include <stdbool.h>

#include "json/read.h"
#include "json/write.h"
#include "recipe/option.h"

/* Its method is NULL when this program does not know the one of that name. Errors as json/read.h's.
 */
int metadata_read_recipe(const struct json_place *root, const char *method, struct recipe *ret);

/* The members that JSON says in this way, those of the held-out images alone or all but those:
 * files have had them in such groups from the start. ERR_RANGE as the writer's status when a number
 * is not finite. */
void metadata_write_recipe(struct json_writer *w, const struct recipe *recipe, bool holdout,
                           enum recipe_json json);

#endif
