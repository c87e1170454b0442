#include "gateway/held.h"

#include "reapi/message.h"

int held_unpack(struct held *h, struct tenant_blobs *t, const ProtobufCMessageDescriptor *descriptor, const void *p,
		size_t n, struct err *err)
{
	uint64_t bytes;
	*h = (struct held){.room = {.blobs = t}, .n = n};
	if (reapi_measure(descriptor, p, n, &bytes, err) < 0) {
		if (err)
			err->code = ERR_FORMAT;
		return -1;
	}
	if (room_add(&h->room, n + bytes, err) < 0)
		return -1;
	if (reapi_unpack(descriptor, p, n, &h->message, err) == 0)
		return 0;
	held_release(h);
	return -1;
}

int held_load(struct held *h, struct tenant_blobs *t, const ProtobufCMessageDescriptor *descriptor,
	      const struct reapi_digest *d, size_t most, struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = most};
	struct room room = {.blobs = t};
	*h = (struct held){.room = {.blobs = t}};
	if ((uint64_t)d->size > most)
		return err_set(err, ERR_LIMIT, "a %s of %lld bytes: %zu are the most", descriptor->short_name,
			       (long long)d->size, most);
	if (room_add(&room, (uint64_t)d->size, err) < 0)
		return -1;
	int rc = blobs_get(t, d, &bytes, err);
	if (rc == 1 && held_unpack(h, t, descriptor, bytes.data ? bytes.data : "", bytes.len, err) < 0)
		rc = -1;
	room_release(&room);
	return rc;
}

void held_release(struct held *h)
{
	if (h->message)
		protobuf_c_message_free_unpacked(h->message, NULL);
	h->message = NULL;
	room_release(&h->room);
}
