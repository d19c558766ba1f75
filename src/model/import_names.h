/* What others call the parameters of our nets. */
#ifndef SRC_MODEL_IMPORT_NAMES_H
#define SRC_MODEL_IMPORT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { IMPORT_NAME_MAX = 192 };

/* The name without what wrappers put before it ("module."). */
const char *import_strip(const char *name);

/* Our name for a stripped one that the net does not have; false: there is none that differs. */
bool import_alias(const char *name, char ret_name[IMPORT_NAME_MAX]);

/* A counter that PyTorch keeps with each norm, or of how often weights were averaged, which
 * inference does not read. */
bool import_is_counter(const char *name);

#endif
