#include "client/launcher/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U // Linux 6.3, where a policy may ask for it
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int memory_file(void)
{
	int fd = memfd_create("coffer", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	return fd < 0 && errno == EINVAL ? memfd_create("coffer", MFD_CLOEXEC) : fd;
}

// A terminal that passes every byte on as it is: what a newline becomes is up to the real one.
static int open_terminal(struct output_stream *s)
{
	struct winsize size;
	struct termios mode;
	int unlocked = 0;
	s->from = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->from < 0 || ioctl(s->from, TIOCSPTLCK, &unlocked))
		return -1;
	s->child_end = ioctl(s->from, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->child_end < 0 || ioctl(s->to, TIOCGWINSZ, &size) || ioctl(s->child_end, TIOCSWINSZ, &size) ||
	    tcgetattr(s->child_end, &mode))
		return -1;
	cfmakeraw(&mode);
	return tcsetattr(s->child_end, TCSANOW, &mode);
}

static int open_pipe(struct output_stream *s)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	s->from = ends[0];
	s->child_end = ends[1];
	return 0;
}

int stream_open(struct output_stream *s, int to, bool is_terminal, bool is_closed, uint64_t max_kept)
{
	s->from = s->child_end = -1;
	s->to = to;
	s->max_kept = max_kept;
	s->kept = memory_file();
	if (s->kept < 0)
		return -1;
	if (is_closed) {
		s->overflow = true; // nobody knows what would have been printed
		return 0;
	}
	return is_terminal ? open_terminal(s) : open_pipe(s);
}

void stream_release(struct output_stream *s)
{
	close_fd(&s->from);
	close_fd(&s->child_end);
	close_fd(&s->kept);
}

void stream_started(struct output_stream *s)
{
	close_fd(&s->child_end);
}

struct pollfd stream_wants(const struct output_stream *s)
{
	if (stream_pending(s))
		return (struct pollfd){.fd = s->to, .events = POLLOUT};
	return (struct pollfd){.fd = s->from, .events = POLLIN};
}

// The position of the file stays 0, where the daemon begins to read.
static void keep(struct output_stream *s, size_t n)
{
	if (s->overflow)
		return;
	if (n > s->max_kept - s->n_kept || pwrite(s->kept, s->part, n, (off_t)s->n_kept) != (ssize_t)n)
		s->overflow = true;
	else
		s->n_kept += n;
}

static void take_part(struct output_stream *s)
{
	ssize_t n = read(s->from, s->part, sizeof s->part);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_fd(&s->from); // a terminal ends with EIO
		return;
	}
	keep(s, (size_t)n);
	s->at = 0;
	s->have = (size_t)n;
}

static void give_part(struct output_stream *s)
{
	ssize_t n = write(s->to, s->part + s->at, s->have - s->at);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n >= 0) {
		s->at += (size_t)n;
		return;
	}
	if (errno == EPIPE)
		close_fd(&s->from); // the compiler's next write is to meet the same
	s->at = s->have = 0;        // a full disk eats messages; that stops no compiler
}

void stream_move(struct output_stream *s)
{
	if (stream_pending(s))
		give_part(s);
	else
		take_part(s);
}
