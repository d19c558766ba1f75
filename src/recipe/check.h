/* Whether the values of a draft go together. Any thread. */
#ifndef SRC_RECIPE_CHECK_H
#define SRC_RECIPE_CHECK_H

#include "recipe/draft.h"

/* ERR_RANGE names the options that contradict each other; of a draft with all its values. */
int check_together(const struct recipe_draft *draft, struct err *e);

#endif
