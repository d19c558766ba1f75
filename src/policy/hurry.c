/* How soon those who come want their answers. A section that has begun is not interrupted, so that
 * whoever is about to come may have to wait for its end: what they leave bounds how long a batch
 * may take. Two periods are kept, so that one who came once is forgotten. */
#include "config.h"

#include "desk_impl.h"

static const int64_t period_ns = 2 * CLOCK_SECOND;

static void clear(int64_t least_ns[SCHED_URGENCIES])
{
    for (int u = 0; u < SCHED_URGENCIES; u++) least_ns[u] = INT64_MAX;
}

void hurry_init(struct desk_hurry *hurry)
{
    clear(hurry->least_ns[0]);
    clear(hurry->least_ns[1]);
    hurry->until_ns = INT64_MIN;
}

void hurry_came(struct desk_hurry *hurry, int urgency, int64_t leaves_ns, int64_t now_ns)
{
    if (now_ns >= hurry->until_ns) {
        bool next = now_ns < hurry->until_ns + period_ns;
        for (int u = 0; u < SCHED_URGENCIES; u++)
            hurry->least_ns[1][u] = next ? hurry->least_ns[0][u] : INT64_MAX;
        clear(hurry->least_ns[0]);
        hurry->until_ns = now_ns + period_ns;
    }
    if (leaves_ns < hurry->least_ns[0][urgency]) hurry->least_ns[0][urgency] = leaves_ns;
}

int64_t hurry_least_ns(const struct desk_hurry *hurry, int urgency)
{
    int64_t least = INT64_MAX;
    for (int u = 0; u <= urgency; u++)
        for (int i = 0; i < 2; i++)
            if (hurry->least_ns[i][u] < least) least = hurry->least_ns[i][u];
    return least;
}
