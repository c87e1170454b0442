#include "client/job/texts.h"

void texts_release(struct texts_aside *t)
{
	for (size_t i = 0; i < t->n; i++)
		buf_release(&t->text[i]);
	t->n = 0;
}

void texts_keep(const struct plan *p, const char *path, const struct digest *digest, struct texts_aside *aside)
{
	enum { MOST = 4 << 20 };
	struct stat st;
	if (!setting_bool(p->config, SETTING_keep_texts) || !files_first_time(p->services->files, digest) ||
	    store_has(p->services->store, STORE_TEXT, digest))
		return;
	AUTO_BUF struct buf text = BUF_INIT;
	if (file_read(p->cwd_fd, path, MOST, &text, &st, NULL) < 0)
		return;
	struct digest now = digest_of(text.data, text.len);
	if (!digest_equal(&now, digest))
		return;
	if (aside && text.len <= TEXTS_ASIDE_BYTES && aside->n < TEXTS_ASIDE) {
		aside->digest[aside->n] = now;
		aside->text[aside->n++] = text;
		text = (struct buf)BUF_INIT;
		return;
	}
	struct store_part part = {text.data, text.len};
	store_put(p->services->store, STORE_TEXT, &now, &part, 1, NULL);
}
