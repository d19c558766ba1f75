/* Events are packed by protobuf-c from the schema in event.proto, into the record's place. */
#include "config.h"

#include "board/events.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/text.h"
#include "event.pb-c.h"

enum {
    TYPE_FLOAT = 1,
    TYPE_STRING = 7,
    CLASS_TENSOR = 2,
    HEAD_BYTES = 12, /* the length and its checksum */
    TAIL_BYTES = 4,
};

static void store_le(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

/* A checksum as records hold it: turned and moved, since a CRC over bytes that hold their own CRC
 * says little. */
static uint32_t masked_crc(const void *data, size_t size)
{
    const uint32_t crc = crc32c(0, data, size);
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static int put_record(struct buf *out, const Board__Event *event)
{
    const size_t size = board__event__get_packed_size(event);
    uint8_t *record = mem_new(HEAD_BYTES + size + TAIL_BYTES, sizeof(*record));
    if (record == NULL) return -ENOMEM;
    store_le(record, size, 8);
    store_le(record + 8, masked_crc(record, 8), 4);
    board__event__pack(event, record + HEAD_BYTES);
    store_le(record + HEAD_BYTES + size, masked_crc(record + HEAD_BYTES, size), 4);
    int rc = buf_append(out, record, HEAD_BYTES + size + TAIL_BYTES);
    mem_free(record);
    return rc;
}

static Board__Event event_at(double time_s)
{
    Board__Event event = BOARD__EVENT__INIT;
    event.has_wall_time = 1;
    event.wall_time = time_s;
    return event;
}

int board_put_version(struct buf *out, double time_s)
{
    char version[] = "brain.Event:2";
    Board__Event event = event_at(time_s);
    event.file_version = version;
    return put_record(out, &event);
}

int board_put_scalars(struct buf *out, double time_s, int64_t step,
                      const struct board_scalar *scalars, size_t n)
{
    Board__Event event = event_at(time_s);
    Board__Summary summary = BOARD__SUMMARY__INIT;
    Board__Value *values = mem_new(n + 1, sizeof(*values));
    Board__Value **list = mem_new(n + 1, sizeof(*list));
    int rc = -ENOMEM;
    if (values == NULL || list == NULL) goto out;
    for (size_t i = 0; i < n; i++) {
        values[i] = (Board__Value)BOARD__VALUE__INIT;
        values[i].tag = (char *)scalars[i].tag;
        values[i].has_simple_value = 1;
        values[i].simple_value = (float)scalars[i].value;
        list[i] = &values[i];
    }
    summary.n_value = n;
    summary.value = list;
    event.has_step = 1;
    event.step = step;
    event.summary = &summary;
    rc = put_record(out, &event);
out:
    mem_free(values);
    mem_free(list);
    return rc;
}

/* The value of a plugin's tag, a tensor of one element. */
static int put_tensor(struct buf *out, double time_s, const char *tag, Board__Plugin *plugin,
                      Board__Tensor *tensor)
{
    Board__Event event = event_at(time_s);
    Board__Summary summary = BOARD__SUMMARY__INIT;
    Board__Value value = BOARD__VALUE__INIT, *values[] = {&value};
    Board__Metadata metadata = BOARD__METADATA__INIT;
    Board__Shape shape = BOARD__SHAPE__INIT;
    Board__Dim one = BOARD__DIM__INIT, *dims[] = {&one};
    one.has_size = 1;
    one.size = 1;
    shape.n_dim = 1;
    shape.dim = dims;
    tensor->has_type = 1;
    tensor->shape = &shape;
    metadata.plugin = plugin;
    metadata.has_data_class = 1;
    metadata.data_class = CLASS_TENSOR;
    value.tag = (char *)tag;
    value.metadata = &metadata;
    value.tensor = tensor;
    summary.n_value = 1;
    summary.value = values;
    event.summary = &summary;
    return put_record(out, &event);
}

int board_put_text(struct buf *out, double time_s, const char *tag, const char *text)
{
    char name[] = "text", *strings[] = {(char *)text};
    Board__Plugin plugin = BOARD__PLUGIN__INIT;
    Board__Tensor tensor = BOARD__TENSOR__INIT;
    plugin.name = name;
    tensor.type = TYPE_STRING;
    tensor.n_strings = 1;
    tensor.strings = strings;
    return put_tensor(out, time_s, tag, &plugin, &tensor);
}

/* One tensor that says nothing, as the page takes metadata of tensors only. */
static int put_session(struct buf *out, double time_s, Board__Session *session)
{
    char name[] = "hparams";
    float nothing[] = {0};
    Board__Plugin plugin = BOARD__PLUGIN__INIT;
    Board__Tensor tensor = BOARD__TENSOR__INIT;
    const size_t size = board__session__get_packed_size(session);
    uint8_t *content = mem_new(size + 1, sizeof(*content));
    if (content == NULL) return -ENOMEM;
    board__session__pack(session, content);
    plugin.name = name;
    plugin.has_content = 1;
    plugin.content = (ProtobufCBinaryData){size, content};
    tensor.type = TYPE_FLOAT;
    tensor.n_floats = 1;
    tensor.floats = nothing;
    int rc = put_tensor(out, time_s, "_hparams_/session_start_info", &plugin, &tensor);
    mem_free(content);
    return rc;
}

struct entry {
    Board__Setting setting;
    Board__Datum datum;
};

int board_put_settings(struct buf *out, double time_s, const struct board_setting *settings,
                       size_t n)
{
    Board__Session session = BOARD__SESSION__INIT;
    Board__Start start = BOARD__START__INIT;
    struct entry *entries = mem_new(n + 1, sizeof(*entries));
    Board__Setting **list = mem_new(n + 1, sizeof(*list));
    int rc = -ENOMEM;
    if (entries == NULL || list == NULL) goto out;
    for (size_t i = 0; i < n; i++) {
        struct entry *at = &entries[i];
        at->setting = (Board__Setting)BOARD__SETTING__INIT;
        at->datum = (Board__Datum)BOARD__DATUM__INIT;
        at->setting.key = (char *)settings[i].name;
        at->setting.value = &at->datum;
        at->datum.has_number = text_to_real(settings[i].value, &at->datum.number);
        if (!at->datum.has_number) at->datum.text = (char *)settings[i].value;
        list[i] = &at->setting;
    }
    start.n_settings = n;
    start.settings = list;
    start.has_time = 1;
    start.time = time_s;
    session.has_version = 1;
    session.start = &start;
    rc = put_session(out, time_s, &session);
out:
    mem_free(entries);
    mem_free(list);
    return rc;
}
