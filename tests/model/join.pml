/* join.pml: a join that sleeps while a thief runs its job (src/team/fork.c). The
 * thief needs help with one job before it can end, which it exposes when it is
 * asked; nobody but the joiner can help. A wake-up that was lost leaves both waiting.
 *
 * The thief lowers its limit also for reasons of its own.
 *
 * Weakened: -DBUG_SETTLE_STORE (the end of the job is stored, without a look at
 * whether somebody sleeps), -DBUG_SLEEP_UNCHECKED (no last look after announcing the
 * sleep), -DBUG_NUDGE_EARLY (looking for a sleeper before the work is public),
 * -DBUG_LOWER_UNCHECKED (the thief lowers its limit and does not look for a sleeper,
 * whose request it may have overwritten). Each has to fail. */
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

/* mui_seat_lower() */
inline lower()
{
	raised = false; /* L1 */
#ifndef BUG_LOWER_UNCHECKED
	if
	:: asleep -> raised = true /* L2 */
	:: !asleep
	fi
#endif
}

active proctype thief()
{
	bool had;
	bool has_reclaimed;

	do
	:: raised && !exposed && !helped ->
#ifdef BUG_NUDGE_EARLY
		nudge();
		exposed = true;
#else
		exposed = true;
		nudge();
#endif
		lower()
	:: !has_reclaimed -> has_reclaimed = true; lower()
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
