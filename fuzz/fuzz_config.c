// Settings from a file: the first byte says whether it is a tree's file or the user's, the rest is the text. Whatever the
// text is, loading either fails with a message of one line or gives every setting a value in its range.
#include "client/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/coffer-fuzz-XXXXXX";
static char user_file[64], tree_file[64];

static const char *fuzz_env(void *ctx, const char *name)
{
	return strcmp(name, "COFFER_CONFIG") == 0 ? ctx : NULL;
}

static void remove_directory(void)
{
	unlink(user_file);
	unlink(tree_file);
	rmdir(directory);
}

static void make_directory(void)
{
	if (!mkdtemp(directory))
		abort();
	snprintf(user_file, sizeof user_file, "%s/user.conf", directory);
	snprintf(tree_file, sizeof tree_file, "%s/%s", directory, CONFIG_TREE_FILE);
	atexit(remove_directory);
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void check_values(const struct settings *c)
{
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		if (!c->values[s].text || !c->values[s].origin || strchr(c->values[s].text, '\n'))
			abort();
	if (setting_number(c, SETTING_max_size) < 0 || setting_number(c, SETTING_compression) < -7 ||
	    setting_number(c, SETTING_compression) > 19 || setting_number(c, SETTING_log_level) > 3 ||
	    setting_number(c, SETTING_idle_timeout) < 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!user_file[0])
		make_directory();
	if (!size)
		return 0;
	bool is_tree = data[0] == 't';
	write_file(is_tree ? tree_file : user_file, data + 1, size - 1);
	struct config_source src = {
		.env = fuzz_env,
		.env_ctx = is_tree ? NULL : user_file,
		.tree = is_tree ? directory : NULL,
		.system_file = "/nonexistent",
	};
	struct settings c;
	struct err err = ERR_INIT;
	if (config_load(&c, &src, &err) == 0)
		check_values(&c);
	else if (!err.text[0] || strchr(err.text, '\n'))
		abort();
	settings_release(&c);
	return 0;
}
