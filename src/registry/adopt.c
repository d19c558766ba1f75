/* Versions that stand on the disk, and of which the database does not know: it was lost, or is an
 * older copy. What can be told from the files is entered again: their numbers and SHA-256. Who
 * served when is lost: they are activated in the order of their numbers where the model has no
 * active version, and last of all the one that equals the file that was given, if there is one,
 * because a newer one may have been rolled back, or have waited for a person. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "impl.h"
#include "versions.h"

struct adoption {
    struct registry *registry;
    struct db *db;
    const char *file; /* that was given, or NULL */
    char sha256[SHA256_HEX_SIZE];
    registry_complain_fn *complain;
    void *arg;
    struct version_row *rows; /* at first of those that are unknown, then of those that load */
    size_t count, room;
};

static int list_unknown(void *arg, const char *name, int64_t number)
{
    struct adoption *a = arg;
    struct version_row row;
    struct err e = {0};
    int rc = version_table_get(a->db, name, number, &row, &e);
    if (rc == -EBADMSG) a->complain(a->arg, e.text);
    if (rc != ERR_NOT_FOUND) return rc == -EBADMSG ? 0 : rc;
    if (a->count == a->room) {
        size_t room = a->room > 0 ? 2 * a->room : 16;
        struct version_row *rows = mem_grow(a->rows, room, sizeof(*rows));
        if (rows == NULL) return -ENOMEM;
        a->rows = rows;
        a->room = room;
    }
    row = (struct version_row){.number = number, .source = "disk", .created_ns = clock_real()};
    snprintf(row.model, sizeof(row.model), "%s", name);
    a->rows[a->count++] = row;
    return 0;
}

static int by_model_and_number(const void *a, const void *b)
{
    const struct version_row *v = a, *w = b;
    int order = strcmp(v->model, w->model);
    return order != 0 ? order : (v->number > w->number) - (v->number < w->number);
}

/* Fills the row from the file. 0: it cannot be loaded, which has been said. */
static int read_version(struct adoption *a, struct version_row *row)
{
    char path[PATH_MAX];
    struct content content = {.bytes = NULL};
    struct err e = {0};
    int rc = registry_path(a->registry, row->model, row->number, path, sizeof(path));
    if (rc == 0) rc = content_read(a->registry, path, &content, &e);
    mem_free(content.bytes);
    if (rc == -ENOMEM) return rc;
    if (rc < 0) {
        char text[ERR_TEXT_MAX + 64];
        snprintf(text, sizeof(text), "it is not adopted as a version: %s", e.text);
        a->complain(a->arg, text);
        return 0;
    }
    memcpy(row->sha256, content.sha256, sizeof(row->sha256));
    snprintf(row->detail, sizeof(row->detail), "the database did not know of it");
    if (strcmp(row->sha256, a->sha256) == 0) {
        snprintf(row->source, sizeof(row->source), "import");
        snprintf(row->detail, sizeof(row->detail), "%s", a->file);
    }
    return 1;
}

/* Has the versions [first, end), of one model, serve in their order, unless one is active. */
static int activate(struct adoption *a, size_t first, size_t end, struct err *e)
{
    const char *model = a->rows[first].model;
    struct version_row active;
    size_t chosen = end - 1;
    int rc = version_table_active(a->db, model, &active, NULL);
    if (rc == 0 || (rc != ERR_NOT_FOUND && rc != -EBADMSG)) return rc;
    rc = 0;
    for (size_t i = first; i < end && rc == 0; i++) {
        rc = version_table_activate(a->db, model, a->rows[i].number, clock_real(), e);
        if (strcmp(a->rows[i].source, "import") == 0) chosen = i;
    }
    if (rc == 0) rc = version_table_activate(a->db, model, a->rows[chosen].number, clock_real(), e);
    if (rc < 0) return rc;
    log_warning("model %s: which version was active is not known any more: version %lld is, %s; "
                "activate another one if that is wrong",
                model, (long long)a->rows[chosen].number,
                strcmp(a->rows[chosen].source, "import") == 0
                    ? "the one that equals the file that was given"
                    : "the newest");
    return 0;
}

static int enter(struct db *db, void *arg, struct err *e)
{
    struct adoption *a = arg;
    size_t kept = 0, first = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct version_row row = a->rows[i];
        int rc = read_version(a, &row);
        if (rc < 0) return err_set(e, rc, "cannot adopt versions: %s", err_text(rc));
        if (rc == 0) continue;
        rc = version_table_adopt(db, &row, e);
        if (rc < 0) return rc;
        log_warning("version %lld of model %s was found on the disk and is adopted",
                    (long long)row.number, row.model);
        a->rows[kept++] = row;
    }
    a->count = kept;
    for (size_t i = 0; i < kept; i++) {
        if (i + 1 < kept && strcmp(a->rows[i].model, a->rows[i + 1].model) == 0) continue;
        int rc = activate(a, first, i + 1, e);
        if (rc < 0) return rc;
        first = i + 1;
    }
    return 0;
}

int adopt(struct registry *registry, struct db *db, const char *file,
          registry_complain_fn *complain, void *arg, struct err *e)
{
    struct adoption a = {
        .registry = registry, .db = db, .file = file, .complain = complain, .arg = arg};
    int rc = registry->adopted ? 0 : versions_each(registry, list_unknown, &a, e);
    if (rc == 0 && a.count > 0) {
        qsort(a.rows, a.count, sizeof(*a.rows), by_model_and_number);
        if (file != NULL && sha256_file(file, registry->bytes_max, a.sha256, NULL) < 0)
            a.sha256[0] = '\0';
        rc = db_transaction(db, enter, &a, e);
    }
    mem_free(a.rows);
    if (rc < 0 || registry->adopted) return rc;
    struct err damage = {0};
    rc = version_table_mend(db, &damage);
    if (err_is_passing(rc)) return err_set(e, rc, "%s", damage.text);
    if (rc < 0) complain(arg, damage.text);
    if (rc > 0) log_warning("%d models go back to the last version whose activation is whole", rc);
    registry->adopted = true;
    return 0;
}
