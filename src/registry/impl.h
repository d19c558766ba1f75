/* Inside the registry layer: what a struct registry holds, and putting a version into service. */
#ifndef REGISTRY_IMPL_H
#define REGISTRY_IMPL_H

#include <pthread.h>

#include "base/retry.h"
#include "model/model.h"
#include "registry/registry.h"

/* A file as it was read, whatever becomes of it then: what is checked, hashed, written and served
 * are the same bytes. */
struct content {
    char *bytes; /* mem_free() */
    size_t size;
    char name[MODEL_NAME_MAX + 1]; /* that it carries */
    char sha256[SHA256_HEX_SIZE];
};

struct registry {
    char *directory;
    size_t bytes_max; /* of a model file from elsewhere */
    struct engine *engine;
    char *source;                           /* the file that was given, or NULL */
    struct retry recovery, import, serving; /* what could not be done yet */
    bool adopted;                           /* what stands on the disk is in the database */
    pthread_mutex_t lock;                   /* what follows */
    size_t n_stand_ins;
    struct registry_stand_in stand_ins[MODELS_MAX];
};

/* Reads a model file and sees that it is one. mem_free() the bytes, whatever is returned. */
int content_read(const struct registry *registry, const char *path, struct content *ret_content,
                 struct err *e);

/* Adds what was read as the next version of name: written beside, its row ready; activate: current
 * in the same transaction. It does not serve yet. */
int content_add(struct registry *registry, struct db *db, const char *name,
                const struct content *content, const char *source, const char *detail,
                bool activate, int64_t *ret_version, struct err *e);

/* Enters the versions on the disk that the database does not know, and mends what is active, once:
 * adopt.c. */
int adopt(struct registry *registry, struct db *db, const char *file,
          registry_complain_fn *complain, void *arg, struct err *e);

/* Publishes a model, which it takes over, and waits until that is done. */
int publish(struct registry *registry, struct model *model, int64_t version, struct err *e);

/* Loads a version's file, holds it against what was registered, and publishes it. Where the file is
 * missing or damaged and the file that was given is the same version, it is served and put back
 * from there.
 */
int load_and_publish(struct registry *registry, const struct version_row *row, struct err *e);

/* Whether the engine serves these very bytes under this name and number. */
bool is_serving(const struct registry *registry, const char *name, int64_t number,
                const char *sha256);

/* Notes that another version serves than the one that is wanted; true: that is news. */
bool stand_in_set(struct registry *registry, const char *model, int64_t wanted, int64_t serving,
                  const char *reason);

/* The wanted one serves; true: it did not before. */
bool stand_in_clear(struct registry *registry, const char *model);

#endif
