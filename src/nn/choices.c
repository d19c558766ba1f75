/* The table of measured choices and its file. Some hundreds of entries, looked through in order
 * when a plan is made; nothing looks while a net runs. A line is
 *
 *     plan fp32 8 32x32x64 64 3x3 1 1 1 winograd
 *
 * use, precision, images, input height x width x channels, outputs, kernel, stride, pad, groups,
 * algorithm. Names stand there instead of numbers, so that a file of another version is either
 * understood or refused. */
#include "config.h"

#include "nn/choices.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = 1 << 20 };

static const char magic[] = "autodidact choices 2";

struct entry {
    struct conv_geometry g;
    enum choice_use use;
    enum precision precision;
    int index;
    enum conv_algorithm algorithm;
};

struct choices {
    const struct kernels *kernels;
    struct entry *entries;
    size_t n, room;
};

struct choices *choices_new(const struct kernels *kernels)
{
    struct choices *c = mem_new(1, sizeof(*c));
    if (c != NULL) c->kernels = kernels;
    return c;
}

void choices_free(struct choices *choices)
{
    if (choices == NULL) return;
    mem_free(choices->entries);
    mem_free(choices);
}

size_t choices_count(const struct choices *choices)
{
    return choices->n;
}

const struct kernels *choices_kernels(const struct choices *choices)
{
    return choices->kernels;
}

static bool same_geometry(const struct conv_geometry *a, const struct conv_geometry *b)
{
    return a->height == b->height && a->width == b->width && a->in_channels == b->in_channels &&
           a->out_channels == b->out_channels && a->kernel_height == b->kernel_height &&
           a->kernel_width == b->kernel_width && a->stride == b->stride && a->pad == b->pad &&
           conv_groups(a) == conv_groups(b);
}

static struct entry *find(const struct choices *choices, enum choice_use use,
                          const struct conv_geometry *g, enum precision precision, int index)
{
    for (size_t i = 0; i < choices->n; i++) {
        struct entry *t = &choices->entries[i];
        if (t->use == use && t->precision == precision && t->index == index &&
            same_geometry(&t->g, g))
            return t;
    }
    return NULL;
}

bool choices_find(const struct choices *choices, enum choice_use use, const struct conv_geometry *g,
                  enum precision precision, int index, enum conv_algorithm *ret)
{
    const struct entry *t = find(choices, use, g, precision, index);
    if (t == NULL) return false;
    *ret = t->algorithm;
    return true;
}

int choices_put(struct choices *choices, enum choice_use use, const struct conv_geometry *g,
                enum precision precision, int index, enum conv_algorithm a)
{
    struct entry *t = find(choices, use, g, precision, index);
    if (t == NULL) {
        if (choices->n == choices->room) {
            size_t room = choices->room > 0 ? 2 * choices->room : 64;
            struct entry *more = mem_grow(choices->entries, room, sizeof(*more));
            if (more == NULL) return -ENOMEM;
            choices->entries = more;
            choices->room = room;
        }
        t = &choices->entries[choices->n++];
    }
    *t = (struct entry){*g, use, precision, index, a};
    return 0;
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *const use_names[CHOICE_USES] = {
    [CHOICE_PLAN] = "plan",
    [CHOICE_FORWARD] = "forward",
    [CHOICE_BACKWARD_DATA] = "backward-data",
    [CHOICE_BACKWARD_WEIGHT] = "backward-weight",
};
static const char *const precision_names[] = {[PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};

/* What the figures hold for. */
static int header(const struct choices *choices, char *text, size_t size)
{
    return snprintf(text, size, "%s, %s, %s", magic, cpu_model(),
                    cpu_isa_name(choices->kernels->isa));
}

static int find_name(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* What a line is: nothing, a choice that the kernels cannot make, one that they can. */
enum line { LINE_BAD, LINE_FOREIGN, LINE_GOOD };

/* One line without its end. */
static enum line parse_line(const struct choices *choices, const char *line, struct entry *t)
{
    char use[32], precision[8], algorithm[32];
    const char *names[CONV_ALGORITHMS];
    int images, end = 0;
    struct conv_geometry *g = &t->g;
    /* Nine digits fit an int. */
    int n =
        sscanf(line, "%31s %7s %9d %9dx%9dx%9d %9d %9dx%9d %9d %9d %9d %31s%n", use, precision,
               &images, &g->height, &g->width, &g->in_channels, &g->out_channels, &g->kernel_height,
               &g->kernel_width, &g->stride, &g->pad, &g->groups, algorithm, &end);
    if (n != 13 || line[end] != '\0') return LINE_BAD;
    for (int a = 0; a < CONV_ALGORITHMS; a++)
        names[a] = conv_algorithm_name((enum conv_algorithm)a);
    int u = find_name(use, use_names, CHOICE_USES);
    int p = find_name(precision, precision_names, 2);
    int a = find_name(algorithm, names, CONV_ALGORITHMS);
    if (u < 0 || p < 0 || a < 0 || images < 1) return LINE_BAD;
    t->use = (enum choice_use)u;
    t->precision = (enum precision)p;
    t->algorithm = (enum conv_algorithm)a;
    t->index = choice_index(images);
    bool sizes = g->height > 0 && g->height <= SPEC_SIDE_MAX && g->width > 0 &&
                 g->width <= SPEC_SIDE_MAX && g->in_channels > 0 && g->out_channels > 0 &&
                 g->kernel_height > 0 && g->kernel_width > 0 && g->stride > 0 && g->pad >= 0 &&
                 g->groups > 0;
    if (!sizes || images != choice_images(t->index)) return LINE_BAD;
    bool permitted = choice_permits(choices->kernels, t->use, g, t->precision, t->algorithm);
    return permitted ? LINE_GOOD : LINE_FOREIGN;
}

/* What is left of a text, and the number of the line that comes next. */
struct lines {
    const char *text;
    size_t size;
    int number;
};

/* The next line without its end, "" when it does not fit; false at the end. */
static bool next_line(struct lines *lines, char *line, size_t room)
{
    if (lines->size == 0) return false;
    const char *newline = memchr(lines->text, '\n', lines->size);
    size_t length = newline != NULL ? (size_t)(newline - lines->text) : lines->size;
    size_t taken = length + (newline != NULL ? 1 : 0);
    bool fits = length < room && memchr(lines->text, '\0', length) == NULL;
    memcpy(line, lines->text, fits ? length : 0);
    line[fits ? length : 0] = '\0';
    lines->text += taken;
    lines->size -= taken;
    lines->number++;
    return true;
}

static int read_lines(struct choices *choices, struct lines *lines, enum line worst, struct err *e)
{
    char line[256];
    while (next_line(lines, line, sizeof(line))) {
        struct entry t = {.index = 0};
        enum line kind = parse_line(choices, line, &t);
        if (kind < worst)
            return err_set(e, ERR_FORMAT, "line %d is no choice of an algorithm", lines->number);
        if (kind == LINE_FOREIGN) continue;
        if (choices_put(choices, t.use, &t.g, t.precision, t.index, t.algorithm) < 0)
            return err_set(e, -ENOMEM, "out of memory for the choices of algorithms");
    }
    return 0;
}

int choices_read(struct choices *choices, const char *text, size_t size, struct err *e)
{
    char line[256], wanted[256];
    struct lines lines = {text, size, 0};
    header(choices, wanted, sizeof(wanted));
    if (!next_line(&lines, line, sizeof(line)) || strcmp(line, wanted) != 0) return 0;
    return read_lines(choices, &lines, LINE_GOOD, e);
}

int choices_read_lines(struct choices *choices, const char *text, size_t size, struct err *e)
{
    struct lines lines = {text, size, 0};
    return read_lines(choices, &lines, LINE_FOREIGN, e);
}

int choices_write_lines(const struct choices *choices, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < choices->n; i++) {
        const struct entry *t = &choices->entries[i];
        const struct conv_geometry *g = &t->g;
        rc = buf_printf(out, "%s %s %d %dx%dx%d %d %dx%d %d %d %d %s\n", use_names[t->use],
                        precision_names[t->precision], choice_images(t->index), g->height, g->width,
                        g->in_channels, g->out_channels, g->kernel_height, g->kernel_width,
                        g->stride, g->pad, conv_groups(g), conv_algorithm_name(t->algorithm));
    }
    return rc < 0 ? rc : 0;
}

int choices_write(const struct choices *choices, struct buf *out)
{
    char first[256];
    header(choices, first, sizeof(first));
    int rc = buf_printf(out, "%s\n", first);
    return rc < 0 ? rc : choices_write_lines(choices, out);
}

/* --- the file --------------------------------------------------------------------------------- */

int choices_check_file(const char *path, struct err *e)
{
    char start[sizeof(magic) - sizeof("2")]; /* of whatever version */
    int64_t length;
    size_t size;
    if (!file_exists(path)) return 0;
    int rc = file_read_start(path, sizeof(start), start, &size, &length, e);
    if (rc < 0 || size == 0) return rc;
    if (size == sizeof(start) && memcmp(start, magic, sizeof(start)) == 0) return 0;
    return err_set(e, ERR_FORMAT, "%s: the file is there, and has no choices of algorithms", path);
}

int choices_load(struct choices *choices, const char *path, struct err *e)
{
    char *text;
    size_t size;
    if (!file_exists(path)) return 0;
    int rc = file_read(path, FILE_MAX, &text, &size, e);
    if (rc < 0) return rc;
    rc = choices_read(choices, text, size, e);
    if (rc < 0) err_prefix(e, "%s", path);
    mem_free(text);
    return rc;
}

int choices_save(const struct choices *choices, const char *path, struct err *e)
{
    struct buf text;
    char directory[4096];
    buf_init(&text, FILE_MAX);
    int rc = choices_write(choices, &text);
    if (rc < 0) {
        err_set(e, rc, "%s: no room for the choices of algorithms", path);
    } else {
        const char *slash = strrchr(path, '/');
        int length = slash != NULL ? (int)(slash - path) : 0;
        if (length > 0 && (size_t)length < sizeof(directory)) {
            snprintf(directory, sizeof(directory), "%.*s", length, path);
            rc = file_make_dirs(directory, e);
        }
        struct file_piece piece = {buf_text(&text), text.size};
        if (rc >= 0) rc = file_write_atomic(path, &piece, 1, e);
    }
    buf_release(&text);
    return rc;
}
