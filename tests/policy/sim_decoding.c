/* The decoder of the simulated machine: seats that take about what was predicted, longer in the
 * background, and end at deadlines. What is checked stands at the top of test_desk_sim.c. */
#include "config.h"

#include "sim.h"

static bool has_turn(const struct desk_item *item)
{
    return item->sched.place == &world.desk->stages[item->seat].queue;
}

/* Of those of a request that wait for seats of a kind one has its turn. With a deadline it stands
 * for the others, too. */
static void add_turn(const struct desk_request *r, enum desk_seat seat, int64_t target_ns,
                     size_t *turns, int64_t *decode_ns)
{
    const struct desk_item *first = NULL;
    int64_t all_ns = 0;
    for (const struct desk_item *item = r->items; item != NULL; item = item->sibling) {
        if (item->refused != 0 || item->seat != seat || shadow_of(item)->place != UNDECODED)
            continue;
        all_ns += item->price_ns;
        CHECK(has_turn(item) == (first == NULL));
        if (first == NULL) first = item;
    }
    if (first == NULL) return;
    (*turns)++;
    if (first->sched.turn_ns > target_ns) return;
    *decode_ns += r->sla->deadline_ns > 0 ? all_ns : first->price_ns;
}

void check_naive_decoding(const struct naive_decoding *n, int64_t target_ns)
{
    for (int k = 0; k < DESK_SEATS; k++) {
        const struct desk_stage *stage = &world.desk->stages[k];
        size_t turns = 0;
        int64_t decode_ns = 0;
        for (int i = 0; i < world.n_slots; i++)
            if (slots[i]->used) add_turn(&slots[i]->load.desk, k, target_ns, &turns, &decode_ns);
        CHECK(n->waiting[k] == stage->waiting && n->waiting_ns[k] == stage->waiting_ns);
        CHECK(turns == stage->queue.count);
        CHECK(decode_ns == sched_decode_before(&stage->queue, target_ns));
    }
}

static uint64_t holder_of(const struct desk_item *item)
{
    return item->request->client != 0 ? item->request->client : (uintptr_t)item->request;
}

static unsigned seats_of(enum desk_seat seat, uint64_t holder)
{
    unsigned n = 0;
    for (int i = 0; i < SEATS_MAX; i++) {
        const struct desk_item *item = world.seats[seat][i].item;
        n += item != NULL && holder_of(item) == holder;
    }
    return n;
}

/* Nobody with an earlier turn waits whose holder has not got its share, but for the next image of
 * the same request: its turn has come with the taking of this one. */
static void check_turn(const struct desk_item *item)
{
    enum desk_seat seat = item->seat;
    unsigned n = world.options.seats[seat], share = n > 1 ? n / 2 : 1;
    bool over_share = seats_of(seat, holder_of(item)) >= share;
    counts[OVER_SHARE] += over_share;
    for (int i = 0; i < world.n_slots; i++) {
        for (int k = 0; slots[i]->used && k < slots[i]->load.desk.n_items; k++) {
            const struct desk_item *other = &slots[i]->load.items[k];
            if (other->request == item->request || other->refused != 0 || other->seat != seat ||
                !has_turn(other))
                continue;
            bool other_over = seats_of(seat, holder_of(other)) >= share;
            int64_t turn = other->sched.turn_ns;
            bool earlier =
                turn < item->sched.turn_ns ||
                (turn == item->sched.turn_ns && other->sched.known.order < item->sched.known.order);
            CHECK(!earlier || (other_over && !over_share));
            CHECK(!over_share || other_over);
            counts[PASSED_OVER] += earlier;
        }
    }
}

static void check_seats(void)
{
    size_t bytes = 0;
    for (int k = 0; k < DESK_SEATS; k++) {
        unsigned n = 0;
        size_t kind_bytes = 0;
        for (int i = 0; i < SEATS_MAX; i++) {
            const struct desk_item *item = world.seats[k][i].item;
            if (item == NULL) continue;
            n++;
            kind_bytes += item->size.memory_bytes;
            CHECK(k == DESK_BACKGROUND ||
                  (decode_cost_prior(&world.desk->decode_cost, &item->size) <= 0.005 &&
                   !item->size.estimated));
        }
        struct desk_decoding d = desk_decoding(world.desk, k);
        CHECK(n == d.running && n <= world.options.seats[k] && kind_bytes == d.memory_bytes);
        bytes += kind_bytes;
    }
    CHECK(bytes <= world.options.decode_memory_max);
}

struct seat *begin_decoding(struct desk_item *item, bool with_worker)
{
    int64_t deadline = item->sched.deadline_ns;
    struct seat *seat = world.seats[item->seat];
    CHECK(shadow_of(item)->place == UNDECODED && item->refused == 0);
    CHECK(deadline == 0 || world.now <= deadline);
    check_turn(item);
    while (seat->item != NULL) seat++;
    CHECK(seat < world.seats[item->seat] + world.options.seats[item->seat]);
    double cpu_s = seconds_of(real_ns(seconds_of(item->price_ns)) - world.now);
    double beside = item->seat == DESK_BACKGROUND ? 2 : .3;
    *seat = (struct seat){item, world.now, 0, cpu_s, with_worker};
    seat->until_ns = world.now + seconds_to_ns(cpu_s * (1 + beside * rng_uniform(&world.rng)));
    if (deadline != 0 && seat->until_ns > deadline + 1) seat->until_ns = deadline + 1;
    shadow_of(item)->place = DECODING;
    check_seats();
    return seat;
}

void end_decoding(struct seat *seat)
{
    struct desk_item *item = seat->item;
    struct slot *slot = slot_of(item);
    bool late = item->sched.deadline_ns != 0 && world.now > item->sched.deadline_ns;
    bool bad = !late && chance(100);
    if (bad && slot->load.desk.given_up == 0) slot->bad_image = true;
    seat->item = NULL;
    desk_decoded(world.desk, item,
                 late  ? ERR_DEADLINE
                 : bad ? ERR_FORMAT
                       : 0,
                 seconds_of(world.now - seat->begun_ns), chance(8) ? 0 : seat->cpu_s, world.now);
    decisions++;
    if (item->sched.place != NULL) {
        shadow_of(item)->place = WAITING;
        shadow_of(item)->section = 0;
    }
    take_ended(NULL);
}

/* Who finds a free seat gets it; memory may be what they wait for. */
void fill_seats(enum desk_seat seat)
{
    for (;;) {
        struct desk_item *item = desk_decode(world.desk, seat, world.now);
        decisions++;
        take_ended(NULL);
        if (item == NULL) break;
        CHECK(item->seat == seat);
        begin_decoding(item, false);
    }
    struct desk_decoding d = desk_decoding(world.desk, seat);
    bool short_of_memory = d.waiting > 0 && d.running < world.options.seats[seat];
    CHECK(!short_of_memory || (seat == DESK_BACKGROUND && d.running > 0));
    counts[SHORT_OF_MEMORY] += short_of_memory;
}
