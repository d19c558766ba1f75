/* What a classification asks for: headers and JSON members become native values once, and images
 * become pointers into the body or into the request's arena. Unknown names are refused: a misspelt
 * wish must not be silently ignored. */
#include "config.h"

#include "input.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
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

static int read_image(struct task *task, const struct json *value, const char *place,
                      struct input *ret_image, struct err *e)
{
    if (!json_is(value, JSON_KIND_STRING))
        return err_set(e, ERR_FORMAT, "%s: a string with the image's bytes in base64 is expected",
                       place);
    size_t length = json_text_size(value), size;
    void *bytes = arena_alloc(task->arena, base64_decoded_max(length), 1);
    if (bytes == NULL) return err_set(e, ERR_BUSY, "%s: out of memory for the image", place);
    if (base64_decode(json_text(value), length, bytes, &size) < 0)
        return err_set(e, ERR_FORMAT, "%s: no valid base64 (RFC 4648 section 4, with padding)",
                       place);
    if (size == 0) return err_set(e, ERR_FORMAT, "%s: the image is empty", place);
    *ret_image = (struct input){.kind = INPUT_ENCODED, .data = bytes, .size = size};
    return 0;
}

static int read_images(struct task *task, const struct json *list, struct err *e)
{
    int max = task->service->options.image_count_max;
    size_t n = json_count(list);
    if (!json_is(list, JSON_KIND_ARRAY))
        return err_set(e, ERR_FORMAT, "images: a list is expected");
    if (n == 0) return err_set(e, ERR_FORMAT, "images: the list is empty");
    if (n > (size_t)max)
        return err_set(e, ERR_LIMIT, "images: %zu of them, at most %d in one request", n, max);
    struct input *images = arena_alloc(task->arena, n, sizeof(*images));
    if (images == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    for (size_t i = 0; i < n; i++) {
        char place[32];
        snprintf(place, sizeof(place), "images[%zu]", i);
        int rc = read_image(task, json_item(list, i), place, &images[i], e);
        if (rc < 0) return rc;
    }
    task->request.images = images;
    task->request.n_images = (int)n;
    task->many = true;
    return 0;
}

static int read_one(struct task *task, const struct json *value, struct err *e)
{
    struct input *image = arena_alloc(task->arena, 1, sizeof(*image));
    if (image == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    int rc = read_image(task, value, "image", image, e);
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

static int read_members(struct task *task, const struct json *json, struct err *e)
{
    static const char *const known[] = {"image", "images", "sla"};
    const struct json_place root = json_root(json, "JSON", e);
    const struct json *image = json_get(json, "image"), *images = json_get(json, "images");
    const struct json *sla = json_get(json, "sla");
    int rc = json_read_known(&root, known, sizeof(known) / sizeof(known[0]));
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

static int form_image(struct task *task, const struct multipart_part *part, struct input *images,
                      struct err *e)
{
    static const char *const taken[] = {"", "image/jpeg", "image/png", "application/octet-stream"};
    size_t i = 0, n = sizeof(taken) / sizeof(taken[0]);
    while (i < n && strcmp(part->content_type, taken[i]) != 0) i++;
    if (i == n)
        return err_set(e, ERR_UNSUPPORTED,
                       "image: its Content-Type is %s; taken are image/jpeg, image/png and "
                       "application/octet-stream",
                       part->content_type);
    if (part->size == 0) return err_set(e, ERR_FORMAT, "image: the image is empty");
    if (task->request.n_images == task->service->options.image_count_max)
        return err_set(e, ERR_LIMIT, "image: more than the %d that are taken in one request",
                       task->request.n_images);
    images[task->request.n_images++] =
        (struct input){.kind = INPUT_ENCODED, .data = part->data, .size = part->size};
    return 0;
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

int input_form(struct task *task, const void *body, size_t size, struct err *e)
{
    struct multipart m;
    struct multipart_part part;
    bool sla = false;
    size_t max = (size_t)task->service->options.image_count_max;
    struct input *images = arena_alloc(task->arena, max, sizeof(*images));
    if (images == NULL) return err_set(e, ERR_BUSY, "out of memory for the request");
    task->request.images = images;
    task->request.n_images = 0;
    int rc = multipart_init(&m, task->boundary, body, size, e);
    while (rc >= 0 && (rc = multipart_next(&m, &part, e)) > 0) {
        if (strcmp(part.name, "image") == 0) {
            rc = form_image(task, &part, images, e);
        } else if (strcmp(part.name, "sla") == 0 && !sla) {
            sla = true;
            rc = form_sla(task, &part, e);
        } else if (strcmp(part.name, "sla") == 0) {
            rc = err_set(e, ERR_FORMAT, "sla: duplicate part");
        } else {
            rc = err_set(e, ERR_FORMAT, "a part is named \"%.40s\"; taken are image and sla",
                         part.name);
        }
    }
    if (rc == 0 && task->request.n_images == 0)
        rc = err_set(e, ERR_FORMAT, "the part named image is missing");
    task->many = task->request.n_images > 1;
    return rc;
}
