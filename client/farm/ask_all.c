// One question to all workers that there are routes to.
#include "client/farm/parts.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_MOST = 256 };

struct question {
	const struct farm_inquiry *inquiry;
	int64_t end_ms;
	struct rpc_target *target;
	char *authorization;
	struct farm_answer *answer;
	pthread_t thread;
	bool has_thread;
};

static void ask(struct question *q)
{
	struct farm_answer *a = q->answer;
	struct err err = ERR_INIT;
	struct rpc_channel *channel;
	int64_t left = q->end_ms - clock_ms();
	if (left <= 0)
		err_set(&err, ERR_TIMEOUT, "not asked: others have not answered in time");
	else if (rpc_target_channel(q->target, (int)left, &channel, &err) == 0) {
		left = q->end_ms - clock_ms();
		struct rpc_call_options options = {.deadline_ms = left > 1 ? (uint32_t)left : 1,
						   .authorization = q->authorization};
		if (rpc_unary(channel, q->inquiry->method, &options, q->inquiry->request, q->inquiry->descriptor, &a->reply,
			      NULL, &err) < 0)
			a->reply = NULL;
		rpc_channel_release(channel);
	}
	if (!a->reply)
		snprintf(a->why_not, sizeof a->why_not, "%.150s", err.text[0] ? err.text : "no answer");
}

static void *ask_one(void *arg)
{
	ask(arg);
	return NULL;
}

// Under the lock.
static size_t list_questions(const struct farm *f, struct question *questions, struct farm_answer *answers)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n_routes && n < ASK_MOST; i++) {
		struct route *r = f->routes[i];
		if (!r->is_current || r->has_lied || r->is_cluster)
			continue;
		answers[n] = (struct farm_answer){.route = r};
		snprintf(answers[n].worker, sizeof answers[n].worker, "%s", r->worker);
		questions[n] = (struct question){
			.target = r->target, .authorization = farm_authorization(r->token), .answer = &answers[n]};
		n++;
	}
	return n;
}

// Each on a thread, so that one that swallows packets when we connect hides no other.
struct farm_answers farm_ask_all(struct farm *f, const struct farm_inquiry *inquiry)
{
	AUTO_FREE struct question *questions = mem_alloc(ASK_MOST * sizeof *questions);
	struct farm_answers answers = {.list = mem_alloc(ASK_MOST * sizeof *answers.list)};
	int64_t end_ms = clock_ms() + inquiry->ms;
	pthread_mutex_lock(&f->lock);
	answers.n = list_questions(f, questions, answers.list);
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < answers.n; i++) {
		questions[i].inquiry = inquiry;
		questions[i].end_ms = end_ms;
		questions[i].has_thread = pthread_create(&questions[i].thread, NULL, ask_one, &questions[i]) == 0;
	}
	for (size_t i = 0; i < answers.n; i++) {
		if (questions[i].has_thread)
			pthread_join(questions[i].thread, NULL);
		else
			ask(&questions[i]);
		if (questions[i].authorization)
			explicit_bzero(questions[i].authorization, strlen(questions[i].authorization));
		free(questions[i].authorization);
	}
	return answers;
}

void farm_answers_release(struct farm_answers *answers)
{
	for (size_t i = 0; i < answers->n; i++)
		if (answers->list[i].reply)
			protobuf_c_message_free_unpacked(answers->list[i].reply, NULL);
	free(answers->list);
}
