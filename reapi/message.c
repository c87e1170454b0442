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

static const ProtobufCMessageDescriptor *part_of(const ProtobufCMessageDescriptor *d, uint64_t number)
{
	const ProtobufCFieldDescriptor *f =
		number <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)number) : NULL;
	return f && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

static bool count_parts(const ProtobufCMessageDescriptor *d, struct rd r, int depth, size_t *left)
{
	uint64_t tag, n;
	while (rd_left(&r)) {
		if ((*left)-- == 0 || depth > MAX_DEPTH || !take_varint(&r, &tag))
			return false;
		switch (tag & 7) {
		case WIRE_VARINT:
			take_varint(&r, &n);
			break;
		case WIRE_64:
			rd_bytes(&r, 8);
			break;
		case WIRE_32:
			rd_bytes(&r, 4);
			break;
		case WIRE_BYTES: {
			const void *p = take_varint(&r, &n) && n <= rd_left(&r) ? rd_bytes(&r, (size_t)n) : NULL;
			const ProtobufCMessageDescriptor *part = part_of(d, tag >> 3);
			if (!p || (part && !count_parts(part, (struct rd)RD(p, (size_t)n), depth + 1, left)))
				return false;
			break;
		}
		default:
			return false;
		}
		if (r.bad)
			return false;
	}
	return true;
}

// ---- messages -----------------------------------------------------------------------------------------------------------

int reapi_unpack(const ProtobufCMessageDescriptor *descriptor, const void *p, size_t n, void *message, struct err *err)
{
	size_t left = REAPI_MAX_PARTS;
	if (!count_parts(descriptor, (struct rd)RD(p, n), 0, &left))
		return left == SIZE_MAX ? err_set(err, ERR_LIMIT, "a %s of more than %d parts", descriptor->short_name,
						  REAPI_MAX_PARTS)
					: err_set(err, ERR_FORMAT, "not a %s", descriptor->short_name);
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

void reapi_pack(const ProtobufCMessage *message, struct buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	char *to = buf_room(out, n);
	if (to)
		buf_grew(out, protobuf_c_message_pack(message, (uint8_t *)to));
}
