/* Decoding, the way's first stage (rule 14 of doc/sla.md). An image is weighed when it comes:
 *
 *   weigh: price, and by that the kind of seat -> held back -> its turn -> in a seat -> decoded
 *
 * Of each request one image for each kind of seat has a turn, the others are held back. The order
 * of turns is that of targets; but without a deadline who follows another image of the same request
 * counts as having come when that was taken. So a form of a hundred gets what somebody gets who
 * sends a hundred images one after the other, and holds up nobody.
 *
 * A *share* of the seats, half of them and at least one, is what one holder (a client, or a request
 * where nothing is known of that) has while others wait. Memory goes in the same order: who does
 * not fit waits, and those behind wait with it, or it would never fit. Left out: what becomes of a
 * decode that has begun; its deadline and its end are for who does it. */
#include "config.h"

#include "desk_impl.h"

#include <errno.h>

#include "base/mem.h"

/* Who waits in the foreground waits for no longer than this (by the prior, so that nobody can teach
 * what is long to look short) for a seat. It is what the sections of a small network take for a
 * batch, and much more than small images take, which are what is sent most. */
static const double foreground_max_s = 0.005;

/* In the foreground an image without a deadline lets those pass that come within so many times its
 * price after it: who takes no time need not wait for all who take some, and nobody for ever. */
static const int64_t stretch = 20;

/* Of the memory the foreground has this part for itself, cut evenly by seats, so that nobody there
 * ever waits for it; what needs more is for the background. */
enum { FOREGROUND_PART = 8 };

int decoding_init(struct desk *desk)
{
    size_t max = desk->options.decode_memory_max;
    decode_cost_init(&desk->decode_cost, desk->options.decode_slowness);
    sched_queue_init(&desk->held, SCHED_HELD, false, NULL);
    for (int k = 0; k < DESK_SEATS; k++) {
        struct desk_stage *stage = &desk->stages[k];
        stage->n_seats = desk->options.seats[k];
        stage->memory_max =
            k == DESK_FOREGROUND ? max / FOREGROUND_PART : max - max / FOREGROUND_PART;
        sched_queue_init(&stage->queue, SCHED_DECODE, false, NULL);
        decode_pace_init(&stage->pace);
        stage->seats = mem_new(stage->n_seats, sizeof(*stage->seats));
        if (stage->seats == NULL) return -ENOMEM;
    }
    return 0;
}

void decoding_release(struct desk *desk)
{
    for (int k = 0; k < DESK_SEATS; k++) mem_free(desk->stages[k].seats);
}

size_t desk_decode_memory_max(const struct desk *desk)
{
    return desk->stages[DESK_BACKGROUND].memory_max;
}

/* ---- in ---- */

static enum desk_seat seat_for(const struct desk *desk, const struct decode_size *size)
{
    const struct desk_stage *foreground = &desk->stages[DESK_FOREGROUND];
    bool is_short = !size->estimated &&
                    decode_cost_prior(&desk->decode_cost, size) <= foreground_max_s &&
                    size->memory_bytes <= foreground->memory_max / foreground->n_seats;
    return is_short ? DESK_FOREGROUND : DESK_BACKGROUND;
}

void decoding_weigh(const struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    for (int k = 0; k < DESK_SEATS; k++) request->burden[k] = (struct desk_burden){.n = 0};
    for (struct desk_item *item = request->items; item != NULL; item = item->sibling) {
        if (item->refused != 0) continue;
        double s = decode_cost(&desk->decode_cost, &item->size, now_ns);
        item->seat = seat_for(desk, &item->size);
        item->price_ns = ns_of(s);
        struct desk_burden *burden = &request->burden[item->seat];
        if (burden->n++ == 0) burden->held = item;
        burden->sum_s += s;
        burden->held_ns += item->price_ns;
        if (s > burden->longest_s) burden->longest_s = s;
    }
}

/* The next of the request's held images for that kind of seat waits for its turn, as one that came
 * at from_ns. With a deadline it goes by that, and so will those behind it: they count with it. */
static void give_turn(struct desk *desk, struct desk_request *request, enum desk_seat seat,
                      int64_t from_ns, int64_t now_ns)
{
    struct desk_burden *burden = &request->burden[seat];
    struct desk_item *item = burden->held;
    while (item != NULL && (item->seat != seat || item->sched.place != &desk->held))
        item = item->sibling;
    burden->held = item;
    if (item == NULL) return;
    struct sched_item *s = &item->sched;
    bool has_deadline = s->deadline_ns > 0;
    int64_t patience_ns = seat == DESK_FOREGROUND ? stretch * item->price_ns : 0;
    s->turn_ns =
        has_deadline ? s->target_ns : from_ns + (s->target_ns - request->arrival_ns) + patience_ns;
    s->decode_ns = has_deadline ? burden->held_ns : item->price_ns;
    burden->held_ns -= item->price_ns;
    sched_push(&desk->sched, &desk->stages[seat].queue, s, now_ns);
}

void decoding_push(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    for (struct desk_item *item = request->items, *next; item != NULL; item = next) {
        next = item->sibling;
        if (item->refused != 0) {
            desk_end(desk, item, item->refused);
            continue;
        }
        struct desk_stage *stage = &desk->stages[item->seat];
        stage->waiting++;
        stage->waiting_ns += item->price_ns;
        sched_push(&desk->sched, &desk->held, &item->sched, now_ns);
    }
    for (int k = 0; k < DESK_SEATS; k++)
        if (request->burden[k].n > 0) give_turn(desk, request, k, request->arrival_ns, now_ns);
}

/* ---- into a seat ---- */

static uint64_t holder_of(const struct desk_request *request)
{
    return request->client != 0 ? request->client : (uint64_t)(uintptr_t)request;
}

static unsigned held_by(const struct desk_stage *stage, uint64_t holder)
{
    unsigned n = 0;
    for (unsigned i = 0; i < stage->n_seats; i++)
        n += stage->seats[i].taken && stage->seats[i].holder == holder;
    return n;
}

/* The first whose holder has not got its share; where all have, the first. Few are passed over: of
 * a request one waits here, and of those who hold a share there are two. */
static struct desk_item *first_with_a_turn(const struct desk_stage *stage)
{
    unsigned share = stage->n_seats > 1 ? stage->n_seats / 2 : 1;
    struct sched_item *first = sched_first(&stage->queue);
    for (struct sched_item *s = first; s != NULL; s = sched_after(s))
        if (held_by(stage, holder_of(item_of(s)->request)) < share) return item_of(s);
    return item_of(first);
}

static bool is_late(const struct desk_item *item, int64_t now_ns)
{
    return item->sched.deadline_ns != 0 && now_ns > item->sched.deadline_ns;
}

/* Those in front whose time is over need no seat. */
static void drop_late(struct desk *desk, enum desk_seat seat, int64_t now_ns)
{
    struct desk_item *item;
    while ((item = item_of(sched_first(&desk->stages[seat].queue))) != NULL &&
           is_late(item, now_ns)) {
        desk_end(desk, item, ERR_DEADLINE);
        give_turn(desk, item->request, seat, now_ns, now_ns);
    }
}

static void take_seat(struct desk *desk, struct desk_item *item, int64_t now_ns)
{
    struct desk_stage *stage = &desk->stages[item->seat];
    unsigned i = 0;
    while (stage->seats[i].taken) i++;
    double s = seconds_of(item->price_ns) * decode_pace(&stage->pace, now_ns);
    stage->seats[i] = (struct desk_seat_use){true, holder_of(item->request), now_ns + ns_of(s)};
    stage->taken++;
    stage->memory_bytes += item->size.memory_bytes;
    item->seat_no = i;
}

struct desk_item *desk_decode(struct desk *desk, enum desk_seat seat, int64_t now_ns)
{
    struct desk_stage *stage = &desk->stages[seat];
    struct desk_item *item;
    for (;;) {
        drop_late(desk, seat, now_ns);
        if (stage->taken == stage->n_seats) return NULL;
        item = first_with_a_turn(stage);
        if (item == NULL) return NULL;
        if (!is_late(item, now_ns)) break;
        desk_end(desk, item, ERR_DEADLINE);
        give_turn(desk, item->request, seat, now_ns, now_ns);
    }
    if (item->size.memory_bytes > stage->memory_max - stage->memory_bytes) return NULL;
    item->wait_ns = now_ns - item->sched.since_ns;
    item->waited_ns += item->wait_ns;
    decoding_forget(desk, item);
    sched_take(&desk->sched, &item->sched);
    take_seat(desk, item, now_ns);
    give_turn(desk, item->request, seat, now_ns, now_ns);
    return item;
}

/* ---- out ---- */

void decoding_forget(struct desk *desk, const struct desk_item *item)
{
    const struct sched_queue *place = item->sched.place;
    if (place == NULL || (place != &desk->held && place->section != SCHED_DECODE)) return;
    desk->stages[item->seat].waiting--;
    desk->stages[item->seat].waiting_ns -= item->price_ns;
}

void desk_decoded(struct desk *desk, struct desk_item *item, int status, double took_s,
                  double cpu_s, int64_t now_ns)
{
    struct desk_stage *stage = &desk->stages[item->seat];
    stage->seats[item->seat_no].taken = false;
    stage->taken--;
    stage->memory_bytes -= item->size.memory_bytes;
    /* What ended early says nothing. In the foreground a price is a time by the clock, as that of a
     * section is; in the background one of a processor, which others may take away for long. */
    if (status == 0 && took_s > 0) {
        bool by_processor = item->seat == DESK_BACKGROUND && cpu_s > 0;
        decode_cost_learn(&desk->decode_cost, &item->size, by_processor ? cpu_s : took_s, now_ns);
        if (by_processor) decode_pace_learn(&stage->pace, took_s, cpu_s, now_ns);
    }
    int over = item->request->given_up != 0 ? item->request->given_up : status;
    if (over < 0) {
        desk_end(desk, item, over);
        return;
    }
    item->decoded = true;
    desk_wait(desk, item, 0, now_ns);
}

/* ---- what is known ---- */

double decoding_pace(const struct desk *desk, enum desk_seat seat, int64_t now_ns)
{
    return decode_pace(&desk->stages[seat].pace, now_ns);
}

double decoding_wait_s(const struct desk *desk, enum desk_seat seat, int64_t target_ns,
                       int64_t now_ns)
{
    const struct desk_stage *stage = &desk->stages[seat];
    int64_t first_free = stage->taken < stage->n_seats ? now_ns : INT64_MAX;
    for (unsigned i = 0; first_free > now_ns && i < stage->n_seats; i++)
        if (stage->seats[i].end_ns < first_free) first_free = stage->seats[i].end_ns;
    double before = seconds_of(sched_decode_before(&stage->queue, target_ns));
    double residual = first_free > now_ns ? seconds_of(first_free - now_ns) : 0;
    return residual + before * decode_pace(&stage->pace, now_ns) / stage->n_seats;
}

struct desk_decoding desk_decoding(const struct desk *desk, enum desk_seat seat)
{
    const struct desk_stage *stage = &desk->stages[seat];
    return (struct desk_decoding){stage->waiting, stage->taken, stage->memory_bytes};
}

bool desk_is_quiet(const struct desk *desk)
{
    const struct desk_stage *background = &desk->stages[DESK_BACKGROUND];
    return desk->in_flight - background->waiting - background->taken <= desk->options.workers;
}
