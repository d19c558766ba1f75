/* Lineages: lists of sets, short because what another set says is left out. */
#include "config.h"

#include "recipe/lineage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "keys.h"

static const char kind_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
static const char unknown_line[] = "unknown";

/* --- sets ------------------------------------------------------------------------------------- */

void lineage_set_release(struct lineage_set *set)
{
    mem_free(set->classes);
    holdout_border_release(&set->border);
    *set = (struct lineage_set){.kind = ""};
}

static uint64_t digest_of(const char *label)
{
    uint8_t digest[SHA256_SIZE];
    uint64_t key = 0;
    sha256(label, strlen(label), digest);
    for (int i = 0; i < 8; i++) key = key << 8 | digest[i];
    return key;
}

static int set_kind(struct lineage_set *set, const char *kind, size_t length, struct err *e)
{
    if (length == 0 || length > LINEAGE_KIND_MAX || strspn(kind, kind_letters) < length)
        return err_set(e, ERR_FORMAT, "it begins with no kind of data");
    memcpy(set->kind, kind, length);
    set->kind[length] = '\0';
    return 0;
}

int lineage_set_make(const char *kind, const char *const *labels, size_t n_labels,
                     const struct holdout_border *border, int64_t images, struct lineage_set *ret,
                     struct err *e)
{
    struct lineage_set set = {.border = {.seed = border->seed}};
    int rc = set_kind(&set, kind, strlen(kind), e);
    if (rc == 0 && (n_labels == 0 || n_labels > LINEAGE_CLASSES_MAX))
        rc = err_set(e, ERR_LIMIT, "%zu classes", n_labels);
    if (rc < 0) return rc;
    set.classes = mem_new(n_labels, sizeof(*set.classes));
    if (set.classes == NULL) return err_set(e, -ENOMEM, "no memory for %zu classes", n_labels);
    for (size_t i = 0; i < n_labels; i++) set.classes[i] = digest_of(labels[i]);
    set.n_classes = keys_sort(set.classes, n_labels);
    if (border->known)
        rc = holdout_border_copy(border, &set.border, e);
    else
        set.images = images;
    if (rc == 0)
        *ret = set;
    else
        lineage_set_release(&set);
    return rc;
}

static int copy_set(const struct lineage_set *set, struct lineage_set *ret, struct err *e)
{
    struct lineage_set copy = *set;
    copy.classes = mem_new(set->n_classes, sizeof(*copy.classes));
    if (copy.classes == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu classes", set->n_classes);
    memcpy(copy.classes, set->classes, set->n_classes * sizeof(*copy.classes));
    int rc = holdout_border_copy(&set->border, &copy.border, e);
    if (rc == 0)
        *ret = copy;
    else
        mem_free(copy.classes);
    return rc;
}

/* How many keys both have. */
static size_t count_common(const uint64_t *a, size_t n_a, const uint64_t *b, size_t n_b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < n_a && k < n_b;) {
        const uint64_t x = a[i], y = b[k];
        n += x == y;
        i += x <= y;
        k += y <= x;
    }
    return n;
}

static size_t common_classes(const struct lineage_set *a, const struct lineage_set *b)
{
    if (strcmp(a->kind, b->kind) != 0) return 0;
    return count_common(a->classes, a->n_classes, b->classes, b->n_classes);
}

bool lineage_set_is_alike(const struct lineage_set *a, const struct lineage_set *b)
{
    return common_classes(a, b) > 0;
}

bool lineage_set_has_common(const struct lineage_set *a, const struct lineage_set *b)
{
    const struct holdout_border *x = &a->border, *y = &b->border;
    return x->seed == y->seed && count_common(x->seen, x->n_seen, y->seen, y->n_seen) > 0;
}

/* Whether a set's border holds out nothing that the other one's does not. */
static bool is_within(const struct lineage_set *inner, const struct lineage_set *outer)
{
    const struct holdout_border *x = &inner->border, *y = &outer->border;
    if (x->known || y->known) return holdout_border_is_within(x, y);
    return x->seed == y->seed && inner->images == outer->images;
}

/* Whether the one says all that the other does. */
static bool says(const struct lineage_set *one, const struct lineage_set *other)
{
    return common_classes(one, other) == other->n_classes && is_within(one, other);
}

/* The other's classes, too. */
static int take_classes(struct lineage_set *set, const struct lineage_set *other, struct err *e)
{
    const size_t n = set->n_classes + other->n_classes;
    uint64_t *classes = mem_grow(set->classes, n, sizeof(*classes));
    if (classes == NULL) return err_set(e, -ENOMEM, "no memory for %zu classes", n);
    memcpy(classes + set->n_classes, other->classes, other->n_classes * sizeof(*classes));
    set->classes = classes;
    set->n_classes = keys_sort(classes, n);
    return 0;
}

/* --- lists ------------------------------------------------------------------------------------ */

void lineage_drop(struct lineage *lineage, struct lineage_set *said)
{
    size_t kept = 0;
    for (size_t i = 0; i < lineage->n; i++) {
        struct lineage_set *set = &lineage->sets[i];
        if (says(said, set)) {
            holdout_border_see_all(&said->border, &set->border);
            lineage_set_release(set);
        } else {
            lineage->sets[kept++] = *set;
        }
    }
    lineage->n = kept;
}

/* Of a set that says as much, or the number of sets. */
static size_t find_saying(const struct lineage *lineage, const struct lineage_set *set)
{
    size_t i = 0;
    while (i < lineage->n && !says(&lineage->sets[i], set)) i++;
    return i;
}

/* Of a set with the same border, or the number of sets. */
static size_t find_same(const struct lineage *lineage, const struct lineage_set *set)
{
    size_t i = 0;
    for (; i < lineage->n; i++) {
        const struct lineage_set *there = &lineage->sets[i];
        if (strcmp(there->kind, set->kind) == 0 && is_within(there, set) && is_within(set, there) &&
            there->n_classes + set->n_classes <= LINEAGE_CLASSES_MAX)
            break;
    }
    return i;
}

/* Takes out those that can be one with this, whose classes are then its own, too. */
static int merge_same(struct lineage *lineage, struct lineage_set *set, struct err *e)
{
    int rc = 0;
    for (size_t i; rc == 0 && (i = find_same(lineage, set)) < lineage->n;) {
        struct lineage_set *there = &lineage->sets[i];
        rc = take_classes(set, there, e);
        holdout_border_see_all(&set->border, &there->border);
        lineage_set_release(there);
        memmove(there, there + 1, (--lineage->n - i) * sizeof(*there));
    }
    return rc;
}

int lineage_add(struct lineage *lineage, struct lineage_set *set, struct err *e)
{
    const size_t at = find_saying(lineage, set);
    if (at < lineage->n) {
        holdout_border_see_all(&lineage->sets[at].border, &set->border);
        lineage_set_release(set);
        return 0;
    }
    int rc = merge_same(lineage, set, e);
    if (rc == 0) lineage_drop(lineage, set);
    if (rc == 0 && lineage->sets == NULL) {
        lineage->sets = mem_new(LINEAGE_SETS_MAX, sizeof(*lineage->sets));
        if (lineage->sets == NULL) rc = err_set(e, -ENOMEM, "no memory for a lineage");
    }
    if (rc == 0 && lineage->n == LINEAGE_SETS_MAX)
        rc = err_set(e, ERR_LIMIT, "it comes from more than %d data sets of different borders",
                     LINEAGE_SETS_MAX);
    if (rc == 0)
        lineage->sets[lineage->n++] = *set;
    else
        lineage_set_release(set);
    return rc;
}

int lineage_add_all(struct lineage *lineage, const struct lineage *other, struct err *e)
{
    int rc = 0;
    lineage->has_unknown = lineage->has_unknown || other->has_unknown;
    for (size_t i = 0; rc == 0 && i < other->n; i++) {
        struct lineage_set copy;
        rc = copy_set(&other->sets[i], &copy, e);
        if (rc == 0) rc = lineage_add(lineage, &copy, e);
    }
    return rc;
}

void lineage_release(struct lineage *lineage)
{
    for (size_t i = 0; i < lineage->n; i++) lineage_set_release(&lineage->sets[i]);
    mem_free(lineage->sets);
    *lineage = (struct lineage){.n = 0};
}

/* --- text ------------------------------------------------------------------------------------- */

enum { LINE_HEAD_MAX = 160 }; /* of a line but for its keys */

int lineage_check(const struct lineage *lineage, struct err *e)
{
    size_t keys = 0;
    for (size_t i = 0; i < lineage->n; i++) {
        const struct lineage_set *set = &lineage->sets[i];
        keys += set->n_classes + set->border.n_apart + set->border.n_seen;
    }
    if (keys * (KEY_DIGITS + 1) + lineage->n * LINE_HEAD_MAX < LINEAGE_TEXT_MAX) return 0;
    return err_set(e, ERR_LIMIT,
                   "what it comes from has too many classes, or borders of too many keys: %zu in "
                   "all",
                   keys);
}

static int put_set(struct buf *text, const struct lineage_set *set)
{
    const size_t size = sizeof(" classes") + set->n_classes * (KEY_DIGITS + 1);
    char *classes = mem_new(size, 1), *border = NULL;
    int rc = classes == NULL ? -ENOMEM : 0;
    if (rc == 0) keys_put(classes, size, " classes", set->classes, set->n_classes);
    if (rc == 0) rc = buf_printf(text, "%s%s ", set->kind, classes);
    mem_free(classes);
    if (rc < 0) return rc;
    if (!set->border.known)
        return buf_printf(text, "seed %" PRIu64 " count %" PRId64 "\n", set->border.seed,
                          set->images);
    border = holdout_border_format(&set->border);
    rc = border == NULL ? -ENOMEM : buf_printf(text, "%s\n", border);
    mem_free(border);
    return rc;
}

char *lineage_format(const struct lineage *lineage)
{
    struct buf text;
    buf_init(&text, LINEAGE_TEXT_MAX);
    int rc = lineage->has_unknown ? buf_printf(&text, "%s\n", unknown_line) : 0;
    for (size_t i = 0; rc == 0 && i < lineage->n; i++) rc = put_set(&text, &lineage->sets[i]);
    char *result = rc < 0 ? NULL : text.size > 0 ? buf_take(&text) : mem_strdup("");
    buf_release(&text);
    return result;
}

/* "seed N count N": true, or it is another text. */
static bool read_count(const char *text, struct lineage_set *set)
{
    char copy[64], *count = NULL;
    uint64_t images;
    if (strncmp(text, "seed ", 5) != 0 || strlen(text) >= sizeof(copy)) return false;
    memcpy(copy, text, strlen(text) + 1);
    count = strstr(copy, " count ");
    if (count == NULL) return false;
    *count = '\0';
    if (!text_to_unsigned(copy + 5, &set->border.seed) ||
        !text_to_unsigned(count + strlen(" count "), &images) || images > INT64_MAX)
        return false;
    set->images = (int64_t)images;
    return true;
}

static int read_set(const char *line, struct lineage_set *set, struct err *e)
{
    const size_t length = strcspn(line, " ");
    int rc = set_kind(set, line, length, e);
    if (rc < 0) return rc;
    const char *at = keys_behind(line + length, " classes");
    const size_t n = at != NULL ? keys_count(at) : 0;
    if (n > LINEAGE_CLASSES_MAX)
        return err_set(e, ERR_LIMIT, "%zu classes, at most %d are taken", n, LINEAGE_CLASSES_MAX);
    if (n > 0) set->classes = mem_new(n, sizeof(*set->classes));
    if (n > 0 && set->classes == NULL) return err_set(e, -ENOMEM, "no memory for %zu classes", n);
    set->n_classes = n;
    at = n > 0 ? keys_behind(keys_read(at, n, set->classes), " ") : NULL;
    if (at == NULL)
        return err_set(e, ERR_FORMAT,
                       "behind the kind it is not \"classes\" and keys that increase");
    return read_count(at, set) ? 0 : holdout_border_parse(at, &set->border, e);
}

static int read_line(const char *line, int number, struct lineage *lineage, struct err *e)
{
    struct lineage_set set = {.kind = ""};
    if (number == 1 && strcmp(line, unknown_line) == 0) {
        lineage->has_unknown = true;
        return 0;
    }
    int rc = read_set(line, &set, e);
    if (rc == 0) return lineage_add(lineage, &set, e);
    lineage_set_release(&set);
    return rc;
}

int lineage_parse(const char *text, struct lineage *ret, struct err *e)
{
    struct lineage lineage = {.n = 0};
    int rc = strlen(text) > LINEAGE_TEXT_MAX
                 ? err_set(e, ERR_LIMIT, "it has more than %d bytes", LINEAGE_TEXT_MAX)
                 : 0;
    for (int number = 1; rc == 0 && *text != '\0'; number++) {
        const size_t length = strcspn(text, "\n");
        char *line = mem_strndup(text, length);
        if (line == NULL)
            rc = err_set(e, -ENOMEM, "no memory");
        else if (text[length] == '\0')
            rc = err_set(e, ERR_FORMAT, "it does not end");
        else
            rc = read_line(line, number, &lineage, e);
        mem_free(line);
        if (rc < 0) err_prefix(e, "line %d", number);
        text += length + 1;
    }
    if (rc == 0)
        *ret = lineage;
    else
        lineage_release(&lineage);
    return rc;
}
