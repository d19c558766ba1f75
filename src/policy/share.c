/* Shares of the machine: of several networks each has its share first, the rest is for whoever
 * wants it. What each had is a sum of workers' time that is forgotten by half every quarter of a
 * second, longer than a section takes and shorter than anybody waits to notice. */
#include "config.h"

#include "desk_impl.h"

#include <math.h>

static const double half_s = .25;

void share_came(struct desk *desk, struct desk_version *version, int n)
{
    bool was = version->in_flight > 0;
    version->in_flight += (size_t)n;
    if (was == (version->in_flight > 0)) return;
    if (was) {
        *(version->before != NULL ? &version->before->after : &desk->versions) = version->after;
        if (version->after != NULL) version->after->before = version->before;
    } else {
        version->before = NULL;
        version->after = desk->versions;
        if (version->after != NULL) version->after->before = version;
        desk->versions = version;
    }
}

static double used_s(const struct desk_version *version, int64_t now_ns)
{
    return version->used_s * exp2(-seconds_of(now_ns - version->used_at_ns) / half_s);
}

void share_used(struct desk_version *version, double s, int64_t now_ns)
{
    version->used_s = used_s(version, now_ns) + s;
    version->used_at_ns = now_ns;
}

/* Of what all had lately, each by its share. */
static double due_s(const struct desk *desk, int64_t now_ns)
{
    double used = 0, shares = 0;
    for (const struct desk_version *v = desk->versions; v != NULL; v = v->after) {
        used += used_s(v, now_ns);
        shares += v->share;
    }
    return shares > 0 ? used / shares : 0;
}

bool share_is_left(const struct desk *desk, const struct desk_version *version, int64_t now_ns)
{
    const struct desk_version *first = desk->versions;
    bool alone = first == NULL || (first == version && first->after == NULL);
    if (alone) return false;
    double used = used_s(version, now_ns), all = used, shares = version->share;
    for (const struct desk_version *v = first; v != NULL; v = v->after) {
        if (v == version) continue;
        all += used_s(v, now_ns);
        shares += v->share;
    }
    return used < all * version->share / shares;
}

struct desk_version *share_beyond(const struct desk *desk, const struct desk_version *version,
                                  int64_t now_ns)
{
    struct desk_version *most = NULL;
    double due = due_s(desk, now_ns), beyond = 0;
    for (struct desk_version *v = desk->versions; v != NULL; v = v->after) {
        double more = used_s(v, now_ns) - due * v->share;
        if (v == version || v->queues[1][0].count == 0 || more <= beyond) continue;
        most = v;
        beyond = more;
    }
    return most;
}
