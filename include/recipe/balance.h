/* What counts how much in a loss: classes, and classifiers. Plain values, no ownership; any thread.
 */
#ifndef RECIPE_BALANCE_H
#define RECIPE_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { BALANCE_CLASSES_MAX = 16, BALANCE_EXITS_MAX = 9, BALANCE_TEXT_MAX = 128 };

enum class_balance_kind {
    CLASS_BALANCE_NONE,
    CLASS_BALANCE_INVERSE,   /* by the number of a class' images n: 1 / n */
    CLASS_BALANCE_EFFECTIVE, /* (1 - base) / (1 - base^n) (Cui et al., CVPR 2019, equation 2) */
    CLASS_BALANCE_GIVEN,
};

struct class_balance {
    enum class_balance_kind kind;
    double base; /* of CLASS_BALANCE_EFFECTIVE */
    int n;       /* of CLASS_BALANCE_GIVEN; all other classes have 1 */
    struct {
        int64_t number; /* from 0, increasing */
        double weight;
    } given[BALANCE_CLASSES_MAX];
};

/* "none", "inverse", "effective:0.999", "3=2.5,17=0.5". ERR_RANGE says what is wrong with it. */
int class_balance_parse(const char *text, struct class_balance *ret_balance, struct err *e);
void class_balance_format(const struct class_balance *balance, char ret_text[BALANCE_TEXT_MAX]);

/* The weights of classes of which the training images are so many each. Those that come from
 * numbers are scaled so that their mean over these images is 1, which leaves the learning rate its
 * meaning; a class without images has 0. ERR_RANGE when a class is given that is not there. */
int class_balance_make(const struct class_balance *balance, const size_t *images, int classes,
                       float *ret_weights, struct err *e);

/* How much the loss of each classifier counts. */
struct exit_balance {
    int n; /* 0: all alike, 1 */
    double values[BALANCE_EXITS_MAX];
};

/* "equal", or a number above 0 for each classifier: "0.5,0.75,1,1". */
int exit_balance_parse(const char *text, struct exit_balance *ret_balance, struct err *e);
void exit_balance_format(const struct exit_balance *balance, char ret_text[BALANCE_TEXT_MAX]);

static inline double exit_weight(const struct exit_balance *balance, int exit)
{
    return exit < balance->n ? balance->values[exit] : 1.0;
}

#endif
