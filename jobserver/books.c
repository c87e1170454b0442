#include "jobserver/books.h"

void books_init(struct books *b, unsigned limit, unsigned implicit, unsigned cap)
{
	*b = (struct books){.limit = limit, .implicit = implicit, .cap = cap};
}

long books_room(const struct books *b)
{
	return (long)b->limit - (long)b->implicit - (long)b->out + (long)b->remote + (long)b->held;
}

long books_local(const struct books *b, unsigned unread)
{
	long n = (long)b->implicit + (long)b->out - (long)b->remote - (long)b->held - (long)unread;
	return n > 0 ? n : 0;
}

enum books_step books_next(const struct books *b, unsigned unread, bool wanted)
{
	long room = books_room(b);
	if (room > 0)
		return b->held ? BOOKS_GO : BOOKS_PUT;
	// A token that nobody has read yet serves a held launcher or a gate better, or pays for one that died. (A stray one, which
	// the books do not know, is drained the same way.)
	if ((b->held || wanted || room < 0) && unread)
		return BOOKS_TAKE;
	return BOOKS_WAIT;
}

void books_put(struct books *b)
{
	b->out++;
}

void books_back(struct books *b, unsigned n)
{
	b->out -= n < b->out ? n : b->out;
}

bool books_lend(struct books *b)
{
	if (b->remote + b->held >= b->cap)
		return false;
	b->remote++;
	return true;
}

void books_hold(struct books *b)
{
	b->remote--;
	b->held++;
}

void books_went(struct books *b)
{
	b->held--;
}

void books_lost_remote(struct books *b)
{
	b->remote--;
}

void books_lost_held(struct books *b)
{
	b->held--;
}
