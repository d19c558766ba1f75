/* Random networks and requests for the desk: what its simulation and its benchmark share. */
#ifndef TESTS_POLICY_LOAD_H
#define TESTS_POLICY_LOAD_H

#include "base/rng.h"
#include "policy/desk.h"

enum { LOAD_IMAGES_MAX = 6 };

/* A request with its items. */
struct load_request {
    struct desk_request desk; /* first */
    struct sla sla;
    struct desk_item items[LOAD_IMAGES_MAX];
};

/* A network of so many exits; some are calibrated, some tuned. A section takes about 0.1 to 2 ms
 * for one image, less for each of a batch. Its cost table learns. Ends the program when out of
 * memory; load_network_release() frees the table. */
void load_network(struct rng *rng, int exits, int batch_max, struct desk_version *ret_version);
void load_network_release(struct desk_version *version);

enum { LOAD_MEMORY_MAX = 100 << 20 };

/* A request of everything that can be asked of this version: classifiers, Min-*, deadlines from the
 * hopeless to the generous or none, urgencies, one image or several, from thumbnails to photographs
 * that take LOAD_MEMORY_MAX bytes and a quarter of a second, some of which cannot be decoded; of a
 * client of its own or one of three. */
void load_make(struct rng *rng, struct desk_version *version, int64_t now_ns,
               struct load_request *request);

#endif
