#include "reapi/message.h"

#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, MAX_DEPTH = 16 };

// ---- how many parts it has --------------------------------------------------------------------------------------------

static bool take_varint(struct rd *r, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = rd_u8(r);
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (r->bad || !(byte & 0x80))
			return !r->bad;
	}
	return false;
}

// One field as it stands on the wire; `p` and `n` only of WIRE_BYTES.
struct field {
	uint64_t number;
	unsigned type;
	const void *p;
	size_t n;
};

static bool take_field(struct rd *r, struct field *f)
{
	uint64_t tag, n = 0;
	if (!take_varint(r, &tag))
		return false;
	*f = (struct field){.number = tag >> 3, .type = tag & 7};
	switch (f->type) {
	case WIRE_VARINT:
		return take_varint(r, &n);
	case WIRE_64:
		return rd_bytes(r, 8);
	case WIRE_32:
		return rd_bytes(r, 4);
	case WIRE_BYTES:
		f->p = take_varint(r, &n) && n <= rd_left(r) ? rd_bytes(r, (size_t)n) : NULL;
		f->n = (size_t)n;
		return f->p;
	default:
		return false;
	}
}

static const ProtobufCFieldDescriptor *known_field(const ProtobufCMessageDescriptor *d, const struct field *f)
{
	return f->number <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)f->number) : NULL;
}

// Numbers in a row.
static bool is_packed(const ProtobufCFieldDescriptor *f)
{
	return f && f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_BYTES;
}

// What malloc adds, and the pointer in a list that may have grown to twice its length.
enum { PART_BYTES = 32, UNKNOWN_BYTES = sizeof(ProtobufCMessageUnknownField) + PART_BYTES };

static bool measure(const ProtobufCMessageDescriptor *d, struct rd r, int depth, size_t *left, uint64_t *bytes)
{
	struct field f;
	*bytes += d->sizeof_message + PART_BYTES;
	while (rd_left(&r)) {
		if ((*left)-- == 0 || depth > MAX_DEPTH || !take_field(&r, &f))
			return false;
		const ProtobufCFieldDescriptor *known = known_field(d, &f);
		bool is_part = known && known->type == PROTOBUF_C_TYPE_MESSAGE && f.type == WIRE_BYTES;
		if (is_part && !measure(known->descriptor, (struct rd)RD(f.p, f.n), depth + 1, left, bytes))
			return false;
		if (!is_part)
			*bytes += (known ? PART_BYTES : UNKNOWN_BYTES) + (is_packed(known) ? 8 : 1) * (uint64_t)f.n;
	}
	return true;
}

// ---- messages -----------------------------------------------------------------------------------------------------------

int reapi_measure(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, uint64_t *bytes, struct err *err)
{
	size_t left = REAPI_MAX_PARTS;
	*bytes = 0;
	if (measure(descriptor, (struct rd)RD(p, n), 0, &left, bytes))
		return 0;
	return left == SIZE_MAX
		       ? err_set(err, ERR_LIMIT, "a %s of more than %d parts", descriptor->short_name, REAPI_MAX_PARTS)
		       : err_set(err, ERR_FORMAT, "not a %s", descriptor->short_name);
}

int reapi_unpack(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, void *message, struct err *err)
{
	uint64_t bytes;
	if (reapi_measure(descriptor, p, n, &bytes, err) < 0)
		return -1;
	*(ProtobufCMessage **)message = protobuf_c_message_unpack(descriptor, NULL, n, p);
	if (!*(ProtobufCMessage **)message)
		return err_set(err, ERR_FORMAT, "not a %s", descriptor->short_name);
	return 0;
}

int reapi_unpack_canonical(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, void *message,
			   struct err *err)
{
	AUTO_BUF struct buf again = BUF_INIT;
	if (reapi_unpack(descriptor, p, n, message, err) < 0)
		return -1;
	reapi_pack(*(ProtobufCMessage **)message, &again);
	if (again.len == n && (n == 0 || memcmp(again.data, p, n) == 0))
		return 0;
	protobuf_c_message_free_unpacked(*(ProtobufCMessage **)message, NULL);
	*(ProtobufCMessage **)message = NULL;
	return err_set(err, ERR_FORMAT, "a %s that is not canonical", descriptor->short_name);
}

int reapi_peek_text(const ProtobufCMessageDescriptor *descriptor, const char *field, const void *p, size_t n, char *text,
		    size_t room, struct err *err)
{
	const ProtobufCFieldDescriptor *wanted = protobuf_c_message_descriptor_get_field_by_name(descriptor, field);
	struct rd r = RD(p, n);
	struct field f;
	*text = '\0';
	while (rd_left(&r)) {
		if (!take_field(&r, &f))
			return err_set(err, ERR_FORMAT, "not a %s", descriptor->short_name);
		if (f.number != wanted->id || f.type != WIRE_BYTES)
			continue;
		if (f.n >= room || memchr(f.p, '\0', f.n))
			return err_set(err, ERR_FORMAT, "a %s of more than %zu bytes, or with a NUL", field, room - 1);
		memcpy(text, f.p, f.n);
		text[f.n] = '\0';
	}
	return 0;
}

void reapi_pack(const ProtobufCMessage *message, struct buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	char *to = buf_room(out, n);
	if (to)
		buf_grew(out, protobuf_c_message_pack(message, (uint8_t *)to));
}
