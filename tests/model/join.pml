/* join.pml: a join that sleeps while a thief runs its job (src/team/fork.c). The
 * thief needs help with one job before it can end, which it exposes when it is
 * asked; nobody but the joiner can help. A wake-up that was lost leaves both waiting.
 *
 * Weakened: -DBUG_SETTLE_STORE (the end of the job is stored, without a look at
 * whether somebody sleeps), -DBUG_SLEEP_UNCHECKED (no last look after announcing the
 * sleep), -DBUG_NUDGE_EARLY (looking for a sleeper before the work is public). Each
 * has to fail. */
#define RUNNING 1
#define DONE    2

byte state = RUNNING;
bool asleep;      /* the ASLEEP bit of the state: read and written with it */
bool is_blocked;  /* in the futex */
bool raised, exposed, helped;

inline futex_wake()
{
	is_blocked = false
}

active proctype joiner()
{
	do
	:: state == DONE -> break
	:: atomic { exposed -> exposed = false }; helped = true
	:: state == RUNNING ->
		/* join_sleep() */
		if
		:: atomic { state == RUNNING -> asleep = true }
		:: state != RUNNING -> goto next
		fi;
#ifndef BUG_SLEEP_UNCHECKED
		raised = true;
		if
		:: atomic { exposed -> exposed = false }; helped = true; goto next
		:: !exposed
		fi;
#else
		raised = true;
#endif
		/* the futex sleeps only if the word is as it was announced */
		if
		:: atomic { state == RUNNING && asleep -> is_blocked = true };
			!is_blocked
		:: atomic { state != RUNNING || !asleep } -> skip
		fi;
next:		skip
	od
}

inline nudge()
{
	if
	:: asleep -> asleep = false; futex_wake()
	:: !asleep
	fi
}

active proctype thief()
{
	bool had;

	do
	:: raised && !exposed && !helped ->
#ifdef BUG_NUDGE_EARLY
		nudge();
		exposed = true;
#else
		exposed = true;
		nudge();
#endif
		raised = false
	:: helped -> break
	od;
#ifdef BUG_SETTLE_STORE
	had = asleep;
	atomic { state = DONE; asleep = false };
#else
	atomic { had = asleep; state = DONE; asleep = false }; /* T3 */
#endif
	if
	:: had -> futex_wake()
	:: !had
	fi
}
