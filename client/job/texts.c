#include "client/job/texts.h"

void texts_keep(const struct plan *p, const char *path, const struct digest *digest)
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
	struct store_part part = {text.data, text.len};
	if (digest_equal(&now, digest))
		store_put(p->services->store, STORE_TEXT, &now, &part, 1, NULL);
}
