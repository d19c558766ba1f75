/* What the layer says in more than one place. */
#ifndef SRC_RECIPE_WORDS_H
#define SRC_RECIPE_WORDS_H

#include "recipe/option.h"

/* Sets ERR_RANGE: "--temperature: --method dsn does not read it: it is of byot and kd". */
int refuse_unread(const struct recipe_option *option, enum recipe_voice voice,
                  const struct method *method, struct err *e);

/* Sets ERR_RANGE: "--A: --B x does not read it: it is of y and z", "--A: without --B nothing reads
 * it", or "--A: it does not go with --B". base: as recipe_option_applies(), which was false. */
int refuse_beside(const struct recipe_option *option, enum recipe_voice voice, const void *base,
                  struct err *e);

#endif
