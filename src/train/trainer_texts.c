/* Which training it is, as texts: a checkpoint is gone on from by the same one only, and ranks
 * train the same one together. */
#include "config.h"

#include "train/trainer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "model/spec_file.h"
#include "trainer_parts.h"

/* Beside the recipe a checkpoint belongs to an architecture, to data and to first parameters. Not
 * to a processor: elsewhere the bits differ, but hours of work go on. */
static int add_spec(struct trainer *t, const char *name, const struct net *net, struct err *e)
{
    char *json = spec_format(net_spec(net));
    if (json == NULL) return err_set(e, -ENOMEM, "out of memory for the spec's text");
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(json, strlen(json), digest);
    sha256_hex(digest, hex);
    mem_free(json);
    struct recipe_text *text;
    if (strcmp(name, "spec") == 0 && net_sections(net) > 1) { /* in the digest, too; here by name */
        text = &t->texts[t->n_texts++];
        *text = (struct recipe_text){.name = "heads", .implied = true};
        snprintf(text->value, sizeof(text->value), "%s", spec_head_name(net_spec(net)->heads.kind));
    }
    text = &t->texts[t->n_texts++];
    text->name = name;
    snprintf(text->value, sizeof(text->value), "%s with %d channels (%.16s)", net_spec(net)->name,
             net_spec(net)->stages[0].channels, hex);
    return 0;
}

/* Which images are held out, by a digest: their number does not say it. */
static int add_border(struct trainer *t, struct err *e)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    struct holdout_border sides =
        t->setup.split->border; /* what it remembers beside decides nothing */
    sides.n_seen = 0;
    char *border = holdout_border_format(&sides);
    if (border == NULL) return err_set(e, -ENOMEM, "out of memory for the border's text");
    sha256(border, strlen(border), digest);
    sha256_hex(digest, hex);
    mem_free(border);
    struct recipe_text *text = &t->texts[t->n_texts++];
    *text = (struct recipe_text){.name = "held-out", .implied = t->setup.split->n_holdout == 0};
    snprintf(text->value, sizeof(text->value), "%zu images (%.16s)", t->setup.split->n_holdout,
             hex);
    return 0;
}

int trainer_make_texts(struct trainer *t, struct err *e)
{
    char data[SHA256_HEX_SIZE];
    t->n_texts = recipe_texts(&t->recipe, t->texts);
    int rc = add_spec(t, "spec", t->setup.net, e);
    if (rc == 0 && t->setup.peer != NULL) rc = add_spec(t, TRAINER_PEER, t->setup.peer, e);
    if (rc < 0) return rc;
    struct recipe_text *text;
    if (t->setup.teacher != NULL) {
        text = &t->texts[t->n_texts++];
        text->name = "teacher";
        snprintf(text->value, sizeof(text->value), "%.64s", t->setup.teacher->sha256);
    }
    dataset_digest(t->setup.set, data);
    text = &t->texts[t->n_texts++];
    text->name = "data";
    snprintf(text->value, sizeof(text->value), "%.64s of %zu images (%.16s)",
             dataset_kind(t->setup.set), dataset_count(t->setup.set), data);
    if (rc == 0) rc = add_border(t, e);
    if (rc < 0) return rc;
    text = &t->texts[t->n_texts++];
    text->name = "init";
    snprintf(text->value, sizeof(text->value), "%.64s",
             *t->setup.parent ? t->setup.parent : "none");
    return 0;
}

/* Of all that says which training it is. */
static int digest_texts(const struct trainer *t, uint8_t ret_digest[SHA256_SIZE], struct err *e)
{
    struct buf text;
    int rc = 0;
    buf_init(&text, RECIPE_TEXTS_MAX * sizeof(t->texts[0]));
    for (size_t i = 0; i < t->n_texts && rc == 0; i++)
        rc = buf_printf(&text, "%s=%s\n", t->texts[i].name, t->texts[i].value);
    if (rc < 0) rc = err_set(e, rc, "out of memory for the options' digest");
    if (rc == 0) sha256(buf_text(&text), text.size, ret_digest);
    buf_release(&text);
    return rc;
}

int trainer_agree(struct trainer *t, struct err *e)
{
    struct ranks *ranks = t->setup.ranks;
    uint8_t own[SHA256_SIZE] = {0}, first[SHA256_SIZE];
    int rc = digest_texts(t, own, e);
    memcpy(first, own, sizeof(first));
    ranks_tell(ranks, first, sizeof(first));
    if (rc == 0 && memcmp(first, own, sizeof(own)) != 0)
        rc = err_set(e, ERR_CONFLICT,
                     "it has other options, images or models than rank 0: each rank needs the same "
                     "files at the same places");
    return ranks_settle(ranks, rc, e);
}
