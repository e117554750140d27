/* help.pml: what a waiting join may take (src/team/help.c): the joiner waits for a
 * job that the thief runs; the thief ends it and goes on to another one, which
 * exposes a job at the same place of the same seat. The joiner must run no job of
 * that other one, and every job runs once.
 *
 * Weakened: -DBUG_HELP_UNCHECKED (no second look after the steal), -DBUG_KEPT (a job
 * taken by mistake is not given back). Each has to fail. */
#define OURS     1
#define ANOTHERS 2
#define RUNNING  1
#define DONE     2
#define RETURNED 8

byte job = RUNNING;   /* what the joiner waits for, on slots 0 and up of the seat */
byte tail, split;     /* the seat of the thief: one word */
byte state, kind;     /* its slot 0 */
byte runs[3];
bool is_over;

/* The thief forks one job of `what` into slot 0, exposes it, and joins it. */
inline work(what)
{
	kind = what;
	state = 0;
	atomic { tail = 0; split = 1 };
	if
	:: atomic { tail == 0 -> split = 0 }; runs[what]++
	:: atomic { tail == 1 -> skip };
		if
		:: state == DONE
		:: state == RETURNED -> runs[what]++
		fi;
		atomic { tail = 0; split = 0 }
	fi
}

active proctype thief()
{
	work(OURS);
	job = DONE;
	work(ANOTHERS);
	assert(runs[OURS] == 1 && runs[ANOTHERS] == 1)
}

active proctype joiner()
{
	do
	:: job == DONE -> break
	:: job == RUNNING -> /* the first look: it runs there */
		if
		:: atomic { tail < split -> tail++ };
#ifndef BUG_HELP_UNCHECKED
			if
			:: job != RUNNING ->
#ifndef BUG_KEPT
				state = RETURNED;
#endif
				goto next
			:: else
			fi;
#endif
			assert(kind == OURS);
			runs[kind]++;
			state = DONE
		:: tail == split
		fi;
next:		skip
	od
}
