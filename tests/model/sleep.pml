/* sleep.pml: searching, sleeping and waking (src/team/idle.c): two threads of the
 * team, and one that works in a region and then submits a ticket. It has jobs that
 * it does not run itself, so a request or a wake-up that was lost leaves everybody
 * asleep, which spin reports as an invalid end state.
 *
 * Weakened: -DBUG_SLEEP_UNCHECKED (the last one to search sleeps without a last
 * look), -DBUG_NO_RAISE (who finds work leaves the limits as they are),
 * -DBUG_LOWER_UNCHECKED (the owner does not look after it has lowered its limit),
 * -DBUG_WAKE_EARLY (looking for sleepers before the work is public),
 * -DBUG_ENTER_UNCHECKED (a region begins without a look). Each has to fail. */
#define N_JOBS 2

byte searching = 2, sleeping; /* one word */
byte wakeups;                 /* the semaphore */
bool at_work;                 /* the epoch is odd */
bool raised;                  /* the limit of the seat at work */
bool exposed, taken;
byte n_taken;
bool queued, done;

#define needs_waking (searching == 0 && sleeping > 0)

inline wake()
{
	if
	:: atomic { needs_waking -> searching = 1; sleeping-- }; wakeups++
	:: atomic { !needs_waking -> skip }
	fi
}

inline raise_all()
{
	if
	:: at_work -> raised = true
	:: !at_work
	fi
}

inline found()
{
	searching--;
#ifndef BUG_NO_RAISE
	if
	:: needs_waking -> raise_all()
	:: else
	fi
#endif
}

active proctype owner()
{
	byte i;

	at_work = true; /* S1 */
#ifndef BUG_ENTER_UNCHECKED
	if
	:: needs_waking -> raised = true /* S2 */
	:: else
	fi;
#endif
	do
	:: i < N_JOBS ->
		/* a private job; forks go on and on until somebody has taken it */
		taken = false;
		do
		:: !taken && raised ->
#ifdef BUG_WAKE_EARLY
			wake();
			exposed = true;
#else
			exposed = true; /* W1 */
			wake();         /* W2 */
#endif
			raised = false; /* L1 */
#ifndef BUG_LOWER_UNCHECKED
			if
			:: needs_waking -> raised = true /* L2 */
			:: else
			fi
#endif
		:: taken -> break
		od;
		i++
	:: i == N_JOBS -> break
	od;
	at_work = false;
#ifdef BUG_WAKE_EARLY
	wake();
	queued = true;
#else
	queued = true; /* W1 */
	wake();        /* W2 */
#endif
	done
}

active [2] proctype thread()
{
again:	do
	:: atomic { exposed && !taken -> exposed = false; taken = true; n_taken++ };
		found();
		n_taken == N_JOBS; /* it works until the last job has been taken too */
		searching++
	:: atomic { queued -> queued = false };
		found();
		done = true;
		searching++
	:: at_work && !exposed && !taken && !raised -> raised = true
	:: atomic { searching > 1 -> searching--; sleeping++ }; /* mui_idle_rest */
		goto asleep
	:: atomic { searching == 1 -> searching = 0; sleeping++ }; /* S3 */
#ifndef BUG_SLEEP_UNCHECKED
		raise_all(); /* S4 */
		if
		:: (exposed && !taken) || queued ->
			if
			:: atomic { needs_waking -> searching = 1; sleeping-- }
			:: atomic { !needs_waking -> goto asleep }
			fi
		:: else -> goto asleep
		fi
#else
		goto asleep
#endif
	od;
asleep:
end:	atomic { wakeups > 0 -> wakeups-- };
	goto again
}
