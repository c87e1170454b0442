#include "audit/dsse.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIGNATURES = 16 };

static void put_signed_text(struct buf *b, const char *type, const char *payload, size_t n)
{
	buf_addf(b, "DSSEv1 %zu %s %zu ", strlen(type), type, n);
	buf_add(b, payload, n);
}

int dsse_sign(const struct note_signer *signer, const char *type, const struct buf *payload, struct buf *envelope,
	      struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf body = BUF_INIT;
	AUTO_BUF struct buf signature = BUF_INIT;
	uint8_t sig[64];
	if (payload->len > DSSE_PAYLOAD_MAX)
		return err_set(err, ERR_LIMIT, "an envelope has room for %d bytes, not for %zu", DSSE_PAYLOAD_MAX,
			       payload->len);
	put_signed_text(&text, type, payload->data, payload->len);
	if (note_sign_bytes(signer, text.data, text.len, sig, err) < 0)
		return -1;
	base64_encode(&body, payload->data, payload->len);
	base64_encode(&signature, sig, sizeof sig);
	buf_addf(envelope, "{\"payloadType\":\"%s\",\"payload\":\"", type);
	buf_add(envelope, body.data, body.len);
	// The id is a hint which key it is: the first two parts of its verifier key.
	const char *verifier = note_signer_verifier(signer);
	buf_addf(envelope, "\",\"signatures\":[{\"keyid\":\"%.*s\",\"sig\":\"%s\"}]}\n",
		 (int)(strchr(verifier, '+') + 9 - verifier), verifier, signature.data);
	return 0;
}

static bool is_signed(const json_t *signatures, const char *verifier, const struct buf *text)
{
	for (size_t i = 0; i < json_array_size(signatures) && i < MOST_SIGNATURES; i++) {
		AUTO_BUF struct buf sig = BUF_INIT;
		const char *encoded = json_string_value(json_object_get(json_array_get(signatures, i), "sig"));
		if (encoded && base64_decode(&sig, encoded, strlen(encoded)) && sig.len == 64 &&
		    note_verify(verifier, text->data, text->len, (const uint8_t *)sig.data))
			return true;
	}
	return false;
}

static int open_envelope(const json_t *o, const char *type, const char *verifier, struct buf *payload, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *is = json_string_value(json_object_get(o, "payloadType"));
	const char *encoded = json_string_value(json_object_get(o, "payload"));
	const json_t *signatures = json_object_get(o, "signatures");
	size_t from = payload->len;
	if (!is || !encoded || !json_is_array(signatures) || !base64_decode(payload, encoded, strlen(encoded)))
		return err_set(err, ERR_FORMAT, "it is no DSSE envelope");
	if (strcmp(is, type) != 0)
		return err_set(err, ERR_FORMAT, "it holds '%.60s', not '%s'", is, type);
	put_signed_text(&text, type, payload->data ? payload->data + from : "", payload->len - from);
	return is_signed(signatures, verifier, &text)
		       ? 0
		       : err_set(err, ERR_ACCESS, "it is not signed by the key '%.40s…'", verifier);
}

int dsse_open(const char *text, size_t n, const char *type, const char *verifier, struct buf *payload, struct err *err)
{
	json_t *o = n <= DSSE_MAX ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int rc = open_envelope(o, type, verifier, payload, err);
	json_decref(o);
	return rc;
}
