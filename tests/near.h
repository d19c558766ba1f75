/* cmocka compares floats as floats; these are doubles. */
#ifndef TESTS_NEAR_H
#define TESTS_NEAR_H

#include <math.h>

#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        double near_a = (a), near_b = (b);                                                         \
        if (!(fabs(near_a - near_b) <= (tolerance))) {                                             \
            fail_msg("%s = %.17g, wanted %.17g", #a, near_a, near_b);                              \
        }                                                                                          \
    } while (0)

#endif
