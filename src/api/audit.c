/* The audit of the admin listener: every request that changes something or tries to, and every one
 * without the right token, is entered with the status of its answer.
 *
 * It is written without waiting for it: a request that was answered and is missing there needs a
 * disk that failed, which the log says. Refusals are entered at a bounded rate, and those past it
 * are counted in one entry, because each costs a write to the disk, and because a stranger could
 * otherwise push the entries that matter out of the table, which is bounded too. */
#include "config.h"

#include "audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/retry.h"
#include "store/audit_table.h"

enum { ID_SIZE = 128, METHOD_SIZE = 16, PATH_SIZE = 512 };

/* Refusals entered in a window: of who has no token, and of who has one (a script gone wrong). */
enum { STRANGERS_MAX = 30, REFUSALS_MAX = 300 };
static const int64_t window_ns = 60 * CLOCK_SECOND;

/* What could not be entered: one line for a cause, and one when it is over. */
struct audit_failures {
    struct store_task end; /* the first member; frees it behind the last entry */
    struct retry retry;
    int64_t missing;
};

struct entry {
    struct store_task task; /* the first member */
    struct audit_failures *failures;
    int64_t at_ns;
    int status;
    char id[ID_SIZE], method[METHOD_SIZE], path[PATH_SIZE], detail[ERR_TEXT_MAX];
};

static void write_audit(struct store_task *task, struct db *db)
{
    struct entry *a = (struct entry *)task;
    const struct audit_row row = {a->at_ns, a->id, a->method, a->path, a->status, a->detail};
    struct err e = {0};
    struct audit_failures *f = a->failures;
    if (audit_table_add(db, &row, &e) < 0) {
        f->missing++;
        if (retry_failed(&f->retry, e.text))
            log_error("audit of %s %s: %s", a->method, a->path, e.text);
    } else if (retry_worked(&f->retry)) {
        log_info("audit: entries are made again; %lld are missing", (long long)f->missing);
        f->missing = 0;
    }
    mem_free(a);
}

static void end_failures(struct store_task *task, struct db *db)
{
    struct audit_failures *f = (struct audit_failures *)task;
    (void)db;
    if (f->missing > 0) log_error("audit: %lld entries are missing", (long long)f->missing);
    mem_free(f);
}

static void enter(struct audit *audit, const char *id, const char *method, const char *path,
                  int status, const char *detail)
{
    log_info("admin: %.15s %.500s: %d%s%s", method, path, status, detail[0] != '\0' ? " " : "",
             detail);
    struct entry *a = mem_new(1, sizeof(*a));
    if (a == NULL) {
        log_error("audit of %.15s %.500s: out of memory", method, path);
        return;
    }
    a->task.run = write_audit;
    a->failures = audit->failures;
    a->at_ns = clock_real();
    a->status = status;
    snprintf(a->id, sizeof(a->id), "%s", id);
    snprintf(a->method, sizeof(a->method), "%s", method);
    snprintf(a->path, sizeof(a->path), "%s", path);
    snprintf(a->detail, sizeof(a->detail), "%s", detail);
    store_post(audit->store, &a->task);
}

/* What the window left out becomes one entry. */
static void close_window(struct audit *audit, struct refusals *r)
{
    if (r->left_out > 0) {
        char text[128];
        snprintf(text, sizeof(text),
                 "%lld more like the ones before were refused and are not entered",
                 (long long)r->left_out);
        enter(audit, "", "", "", r->last_status, text);
    }
    *r = (struct refusals){.max = r->max};
}

static bool take(struct audit *audit, struct refusals *r, int status)
{
    int64_t now = clock_now();
    if (now - r->since_ns >= window_ns) {
        close_window(audit, r);
        r->since_ns = now;
    }
    if (r->entered < r->max) {
        r->entered++;
        return true;
    }
    r->left_out++;
    r->last_status = status;
    return false;
}

static void answered(void *arg, const struct exchange *x, int status, const char *detail)
{
    struct audit *audit = arg;
    const char *method = exchange_method(x);
    bool stranger = !exchange_is_authorized(x);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (reads && status != 401) return;
    if (status >= 400 && !take(audit, stranger ? &audit->strangers : &audit->refused, status))
        return;
    char text[ERR_TEXT_MAX], peer[64];
    exchange_peer(x, peer, sizeof(peer));
    snprintf(text, sizeof(text), "%s%s%s", stranger ? peer : "",
             stranger && peer[0] != '\0' ? ": " : "", detail);
    enter(audit, exchange_id(x), method, exchange_path(x), status, text);
}

int audit_begin(struct audit *audit, struct server *server, struct store *store)
{
    int64_t now_ns = clock_now();
    audit->failures = mem_new(1, sizeof(*audit->failures));
    if (audit->failures == NULL) return -ENOMEM;
    audit->failures->end.run = end_failures;
    audit->store = store;
    audit->strangers = (struct refusals){.max = STRANGERS_MAX, .since_ns = now_ns};
    audit->refused = (struct refusals){.max = REFUSALS_MAX, .since_ns = now_ns};
    server_on_answer(server, answered, audit);
    return 0;
}

void audit_end(struct audit *audit)
{
    close_window(audit, &audit->strangers);
    close_window(audit, &audit->refused);
    store_post(audit->store, &audit->failures->end);
}
