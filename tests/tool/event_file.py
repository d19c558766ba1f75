"""A reader of TensorBoard's event files, from the published formats: records (TFRecord) with masked CRC-32C, and protocol
buffers field by field. It is strict: what does not check, or a field that it does not know, is an error. Standard
library only."""
import struct


def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8):
                i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
            table.append(i)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def checked(data, stored):
    """The bytes, whose checksum is stored turned by 15 bits and moved by a constant."""
    crc = crc32c(data)
    assert struct.unpack("<I", stored)[0] == ((crc >> 15 | crc << 17 & 0xffffffff) + 0xa282ead8) & 0xffffffff, "a checksum"
    return data


def records(data):
    at = 0
    while at < len(data):
        n, = struct.unpack("<Q", checked(data[at:at + 8], data[at + 8:at + 12]))
        assert at + 16 + n <= len(data), "a record is cut"
        yield checked(data[at + 12:at + 12 + n], data[at + 12 + n:at + 16 + n])
        at += 16 + n


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def message(data, fields):
    """fields: {number: (name, how)}, how: "double", "float", "int", "text", "bytes" or a dict like fields;
    -> {name: [value]}"""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        name, how = fields[key >> 3]
        wire = {"double": 1, "float": 5, "int": 0}.get(how if isinstance(how, str) else None, 2)
        assert key & 7 == wire, (name, key & 7)
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
            assert len(value) == n
            if how != "bytes":
                value = value.decode() if how == "text" else message(value, how)
        else:
            size = 8 if wire == 1 else 4
            value, = struct.unpack_from("<d" if wire == 1 else "<f", data, at)
            at += size
        found.setdefault(name, []).append(value)
    return found


TENSOR = {1: ("dtype", "int"), 2: ("tensor_shape", {2: ("dim", {1: ("size", "int")})}), 5: ("float_val", "bytes"),
          8: ("string_val", "text")}
METADATA = {1: ("plugin_data", {1: ("plugin_name", "text"), 2: ("content", "bytes")}), 4: ("data_class", "int")}
VALUE = {1: ("tag", "text"), 2: ("simple_value", "float"), 8: ("tensor", TENSOR), 9: ("metadata", METADATA)}
EVENT = {1: ("wall_time", "double"), 2: ("step", "int"), 3: ("file_version", "text"), 5: ("summary", {1: ("value", VALUE)})}
HPARAMS = {1: ("version", "int"), 3: ("session_start_info", {
    1: ("hparams", {1: ("key", "text"), 2: ("value", {2: ("number_value", "double"), 3: ("string_value", "text")})}),
    5: ("start_time_secs", "double")})}


def read(path):
    """-> {"scalars": {(tag, step): value}, "texts": {tag: text}, "hparams": {name: value}, "times": [..]}"""
    with open(path, "rb") as f:
        events = [message(r, EVENT) for r in records(f.read())]
    assert events[0].pop("file_version") == ["brain.Event:2"] and set(events[0]) == {"wall_time"}
    out = {"scalars": {}, "texts": {}, "hparams": {}, "times": [e["wall_time"][0] for e in events]}
    for e in events[1:]:
        for v in e["summary"][0]["value"]:
            tag, = v["tag"]
            if "simple_value" in v:
                assert set(v) == {"tag", "simple_value"}
                key = tag, e["step"][0]
                assert key not in out["scalars"], f"{key} is there twice"
                out["scalars"][key], = v["simple_value"]
                continue
            plugin, = v["metadata"][0]["plugin_data"]
            tensor, = v["tensor"]
            assert v["metadata"][0]["data_class"] == [2] and tensor["tensor_shape"] == [{"dim": [{"size": [1]}]}]
            if plugin["plugin_name"] == ["text"]:
                assert tensor["dtype"] == [7] and "content" not in plugin
                out["texts"][tag], = tensor["string_val"]
            else:
                assert plugin["plugin_name"] == ["hparams"] and tag == "_hparams_/session_start_info"
                assert tensor["dtype"] == [1] and tensor["float_val"] == [bytes(4)]
                session = message(plugin["content"][0], HPARAMS)
                assert session["version"] == [0]
                for h in session["session_start_info"][0]["hparams"]:
                    (value,), = h["value"][0].values()
                    out["hparams"][h["key"][0]] = value
    return out
