/* What a classification asks for: headers and JSON members become native values once, and images
 * become pointers into the body or into the request's arena. Unknown names are refused: a misspelt
 * wish must not be silently ignored. */
#include "config.h"

#include "input.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "image_text.h"
#include "json/read.h"

/* The size of a body is the route's. */
static const struct json_limits body_limits = {SIZE_MAX, 1 << 16};

/* ---- headers ---- */

struct headers {
    struct sla_draft *draft;
    struct err *e;
};

static int header_value(void *arg, const char *name, const char *value)
{
    struct headers *h = arg;
    return sla_draft_header(h->draft, name, value, h->e);
}

int input_headers(struct task *task, struct err *e)
{
    struct headers h = {.draft = &task->draft, .e = e};
    return exchange_each_header(task->x, header_value, &h);
}

/* ---- bodies ---- */

int input_raw(struct task *task, const void *body, size_t size, struct err *e)
{
    struct input *image = arena_alloc(task->arena, 1, sizeof(*image));
    if (image == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    *image = (struct input){.kind = INPUT_ENCODED, .data = body, .size = size};
    task->request.images = image;
    task->request.n_images = 1;
    return 0;
}

/* One of several images cannot be read: it fails alone, when its turn comes. What the engine gets
 * in its place is an image without bytes, and the answer says what is kept here. */
static int keep_fault(struct task *task, size_t n, size_t i, const struct err *fault, struct err *e)
{
    if (task->faults == NULL) {
        task->faults = arena_alloc(task->arena, n, sizeof(*task->faults));
        if (task->faults == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
        memset(task->faults, 0, n * sizeof(*task->faults));
    }
    task->faults[i] = *fault;
    return 0;
}

/* 0 also when the image fails alone, with *ret_fault set. */
static int read_image(struct task *task, const struct json *value, const char *place,
                      struct input *ret_image, struct err *ret_fault, struct err *e)
{
    const void *bytes;
    size_t size;
    if (!json_is(value, JSON_KIND_STRING))
        return err_set(e, ERR_FORMAT, "%s: a string with the image's bytes in base64 is expected",
                       place);
    *ret_image = (struct input){.kind = INPUT_ENCODED, .data = ""};
    int rc = image_text_decode(json_text(value), json_text_size(value), task->arena, &bytes, &size,
                               ret_fault);
    if (rc == ERR_BUSY) {
        *e = *ret_fault;
        return err_prefix(e, "%s", place);
    }
    if (rc < 0) {
        ret_fault->code = ERR_RANGE; /* the text is wrong, not an image: 400 */
        return 0;
    }
    ret_image->data = bytes;
    ret_image->size = size;
    return 0;
}

static int read_images(struct task *task, const struct json *list, struct err *e)
{
    size_t n = json_count(list);
    if (!json_is(list, JSON_KIND_ARRAY))
        return err_set(e, ERR_FORMAT, "images: a list is expected");
    if (n == 0) return err_set(e, ERR_FORMAT, "images: the list is empty");
    int max = task->service->options.image_count_max;
    if (n > (size_t)max)
        return err_set(e, ERR_LIMIT,
                       "images: %zu of them, at most %d are taken in one request (http.images_max)",
                       n, max);
    struct input *images = arena_alloc(task->arena, n, sizeof(*images));
    if (images == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    for (size_t i = 0; i < n; i++) {
        char place[32];
        struct err fault = {0};
        snprintf(place, sizeof(place), "images[%zu]", i);
        int rc = read_image(task, json_item(list, i), place, &images[i], &fault, e);
        if (rc == 0 && fault.code < 0) rc = keep_fault(task, n, i, &fault, e);
        if (rc < 0) return rc;
    }
    task->request.images = images;
    task->request.n_images = (int)n;
    task->many = true;
    return 0;
}

static int read_one(struct task *task, const struct json *value, struct err *e)
{
    struct err fault = {0};
    struct input *image = arena_alloc(task->arena, 1, sizeof(*image));
    if (image == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    int rc = read_image(task, value, "image", image, &fault, e);
    if (rc == 0 && fault.code < 0) {
        *e = fault;
        return err_prefix(e, "image");
    }
    task->request.images = image;
    task->request.n_images = 1;
    return rc;
}

/* A member of "sla" as the text that a header would have: 20 and "20" are the same wish. */
static int sla_text(const struct json *value, const char *name, char *text, size_t size,
                    struct err *e)
{
    if (json_is(value, JSON_KIND_STRING)) {
        if (json_text_size(value) >= size)
            return err_set(e, ERR_RANGE, "sla.%s: the value is too long", name);
        memcpy(text, json_text(value), json_text_size(value) + 1);
    } else if (json_is(value, JSON_KIND_INT)) {
        snprintf(text, size, "%lld", (long long)json_int(value, 0));
    } else if (json_is(value, JSON_KIND_REAL)) {
        char number[TEXT_NUMBER_MAX];
        snprintf(text, size, "%s", text_double(json_number(value, 0), number));
        if (strchr(text, 'e') != NULL) snprintf(text, size, "%.20f", json_number(value, 0));
    } else {
        return err_set(e, ERR_RANGE, "sla.%s: a number or a string is expected", name);
    }
    return 0;
}

static int read_sla(struct task *task, const struct json *sla, struct err *e)
{
    if (!json_is(sla, JSON_KIND_OBJECT))
        return err_set(e, ERR_FORMAT, "sla: an object is expected");
    for (struct json_member m = {0}; json_next(sla, &m);) {
        char text[400];
        int rc = sla_text(m.value, m.name, text, sizeof(text), e);
        if (rc == 0) rc = sla_draft_member(&task->draft, "", m.name, text, e);
        if (rc == ERR_CONFLICT) rc = e->code = ERR_RANGE; /* rule 11 of doc/sla.md: 400 */
        if (rc < 0) return rc;
    }
    return 0;
}

/* A member that the query has, too, as the text that it would be there. */
static int read_asked(struct task *task, int member, const struct json *value, struct err *e)
{
    const char *name = task->asked.members[member].name, *text = json_text(value);
    char number[TEXT_NUMBER_MAX];
    if (json_is(value, JSON_KIND_BOOL)) {
        text = json_bool(value, false) ? "1" : "0";
    } else if (json_is(value, JSON_KIND_INT)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_int(value, 0));
        text = number;
    } else if (text == NULL) {
        return err_set(e, ERR_RANGE, "%s: a whole number, true, false or a string is expected",
                       name);
    }
    const char *kept = arena_strndup(task->arena, text, strlen(text));
    if (kept == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    return asked_add(&task->asked, member, kept, e);
}

static int read_members(struct task *task, const struct json *json, struct err *e)
{
    const char *known[3 + ROUTE_QUERY_MAX] = {"image", "images", "sla"};
    const struct query_member *members = task->asked.members;
    const struct json_place root = json_root(json, "JSON", e);
    const struct json *image = json_get(json, "image"), *images = json_get(json, "images");
    const struct json *sla = json_get(json, "sla");
    size_t n = 3;
    for (size_t i = 0; members[i].name != NULL; i++) known[n++] = members[i].name;
    int rc = json_read_known(&root, known, n);
    for (int i = 0; rc == 0 && members[i].name != NULL; i++) {
        const struct json *value = json_get(json, members[i].name);
        if (value != NULL) rc = read_asked(task, i, value, e);
    }
    if (rc == 0 && (image != NULL) == (images != NULL))
        rc = err_set(e, ERR_FORMAT,
                     image != NULL ? "image and images exclude each other"
                                   : "image or images is missing");
    if (rc == 0 && sla != NULL) rc = read_sla(task, sla, e);
    if (rc == 0) rc = image != NULL ? read_one(task, image, e) : read_images(task, images, e);
    return rc;
}

int input_json(struct task *task, const void *body, size_t size, struct err *e)
{
    struct json *json = json_parse("JSON", body, size, &body_limits, JSON_KIND_OBJECT, e);
    int rc = json != NULL ? read_members(task, json, e) : e->code;
    json_free(json);
    return rc;
}

/* ---- forms ---- */

struct form {
    struct task *task;
    struct input *images; /* [max] */
    int max;
    bool sla, several;
};

/* "image", "images", "file" or "files", with "[]" behind it or not, which libraries put to what
 * may be several. */
static bool is_image_name(const char *name, bool *ret_several)
{
    static const char *const names[] = {"image", "images", "file", "files"};
    size_t length = strlen(name);
    bool brackets = length > 2 && strcmp(name + length - 2, "[]") == 0;
    if (brackets) length -= 2;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) != length || memcmp(names[i], name, length) != 0) continue;
        *ret_several = brackets || names[i][length - 1] == 's';
        return true;
    }
    return false;
}

/* Whether a part that names its type may be an image; which kind it is its bytes say. */
static bool may_be_image(const char *type)
{
    return type[0] == '\0' || strncmp(type, "image/", strlen("image/")) == 0 ||
           strcmp(type, "application/octet-stream") == 0;
}

static int form_image(struct form *form, const struct multipart_part *part, struct err *e)
{
    struct task *task = form->task;
    const int i = task->request.n_images, max = form->max;
    struct err fault = {0};
    if (part->no_file) return 0; /* a field of a page in which no file was chosen */
    if (i == max)
        return err_set(e, ERR_LIMIT,
                       "%s: more images than the %d that are taken in one request "
                       "(http.images_max)",
                       part->name, max);
    if (part->size == 0)
        err_set(&fault, ERR_RANGE, "the image is empty");
    else if (!may_be_image(part->content_type))
        err_set(&fault, ERR_UNSUPPORTED,
                "its Content-Type is %s; taken are image/jpeg, image/png and "
                "application/octet-stream",
                part->content_type);
    form->images[task->request.n_images++] = (struct input){
        .kind = INPUT_ENCODED, .data = part->data, .size = fault.code < 0 ? 0 : part->size};
    return fault.code < 0 ? keep_fault(task, (size_t)max, (size_t)i, &fault, e) : 0;
}

static int form_asked(struct task *task, int member, const struct multipart_part *part,
                      struct err *e)
{
    const char *text = arena_strndup(task->arena, part->data, part->size);
    if (text == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    if (strlen(text) != part->size)
        return err_set(e, ERR_RANGE, "%s: the value holds a NUL", part->name);
    return asked_add(&task->asked, member, text, e);
}

static int form_sla(struct task *task, const struct multipart_part *part, struct err *e)
{
    if (part->size == 0)
        return err_set(e, ERR_FORMAT, "sla: the part is empty; an object is expected");
    struct json *sla = json_parse("sla", part->data, part->size, &body_limits, JSON_KIND_OBJECT, e);
    int rc = sla != NULL ? read_sla(task, sla, e) : e->code;
    json_free(sla);
    return rc;
}

static int form_part(struct form *form, const struct multipart_part *part, struct err *e)
{
    bool several = false;
    const int asked = asked_find(&form->task->asked, part->name);
    if (is_image_name(part->name, &several)) {
        form->several = form->several || several;
        return form_image(form, part, e);
    }
    if (asked >= 0) return form_asked(form->task, asked, part, e);
    if (strcmp(part->name, "_charset_") == 0) return 0; /* RFC 7578, 4.6: of texts, all ASCII */
    if (strcmp(part->name, "sla") != 0) {
        char shown[MULTIPART_NAME_MAX + 1];
        return err_set(e, ERR_FORMAT,
                       "a part is named \"%s\"; taken are image (images, file, files), sla, top, "
                       "explain and model",
                       text_printable(shown, sizeof(shown), part->name));
    }
    if (form->sla) return err_set(e, ERR_FORMAT, "sla: duplicate part");
    form->sla = true;
    return form_sla(form->task, part, e);
}

int input_form(struct task *task, const void *body, size_t size, struct err *e)
{
    struct multipart m;
    struct multipart_part part;
    struct form form = {.task = task, .max = task->service->options.image_count_max};
    form.images = arena_alloc(task->arena, (size_t)form.max, sizeof(*form.images));
    if (form.images == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    task->request.images = form.images;
    task->request.n_images = 0;
    int rc = multipart_init(&m, task->boundary, body, size, e);
    while (rc >= 0 && (rc = multipart_next(&m, &part, e)) > 0) rc = form_part(&form, &part, e);
    if (rc == 0 && task->request.n_images == 0)
        rc = err_set(e, ERR_FORMAT, "the part named image is missing");
    task->many = form.several || task->request.n_images > 1;
    if (rc == 0 && !task->many && task->faults != NULL) {
        *e = task->faults[0];
        return err_prefix(e, "image");
    }
    return rc;
}
