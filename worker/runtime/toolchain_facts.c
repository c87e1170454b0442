#include "worker/runtime/runtime.h"
#include "worker/runtime/toolchain.h"

#include "base/mem.h"

enum { MAX_DEFINES = 1 << 20, MAX_VERBOSE = 64 * 1024 };

int toolchain_facts(struct runtime_session *session, const char *compiler, const char *language,
		    struct toolchain_facts *facts, struct err *err)
{
	AUTO_BUF struct buf defines = {.max = MAX_DEFINES}, verbose = {.max = MAX_VERBOSE};
	const char *arguments[] = {compiler, "-v", "-E", "-dM", "-x", language, "empty", NULL};
	struct job_bytes nothing = {"", 0};
	struct runtime_job job = {.arguments = arguments,
				  .source_name = "empty",
				  .read = job_read_bytes,
				  .read_ctx = &nothing,
				  .out = job_sink_buf(&defines),
				  .errs = job_sink_buf(&verbose)};
	struct job_result result;
	if (runtime_session_exec(session, &job, &result, err) < 0)
		return err_wrap(err, "cannot ask '%s'", compiler);
	if (result.exit_status != 0)
		return err_set(err, ERR_FORMAT, "'%s' does not compile an empty file of '%s'", compiler, language);
	return toolchain_facts_of_text(defines.data ? defines.data : "", defines.len, verbose.data ? verbose.data : "",
				       facts, err);
}
