/* rwlock.pml: the read-write lock (src/shared/rwlock.c): two readers, of which each goes
 * by the fast path and else takes the word, and a writer. Its promises: a writer and a
 * reader are never both inside, and nobody sleeps for ever (an invalid end state).
 *
 * The word is its holder, 0 is free; PASSING, WAITERS and DRAINING beside it. A sleep
 * begins only while the word is what the sleeper saw, as the kernel has it.
 *
 * Weakened: -DBUG_LOOK_FIRST (a reader looks at the word before it takes its seat),
 * -DBUG_DRAIN_UNCHECKED (the writer sleeps without a look at the seats behind its mark),
 * -DBUG_LEAVE_FIRST (a reader looks for the mark before it leaves), -DBUG_MARK_KEPT (and
 * wakes without taking it back), -DBUG_ANY_WAKE (one wake for whoever sleeps). Each has
 * to fail. */
#define N_READERS 2
#define N_ROUNDS  2

byte holder;                         /* 0: free; else 1 + who */
bool passing, waiters, draining;
byte seats;                          /* readers inside */
byte n_reading, n_writing;
byte asleep_waiters;                 /* who sleeps for the word */
bool asleep_holder;                  /* its holder sleeps until readers leave */
byte awake_waiters;                  /* woken, not yet running */
bool awake_holder;

#define lets_in (holder == 0 || (passing && !draining))

inline wake_waiters()
{
	awake_waiters = awake_waiters + asleep_waiters;
	asleep_waiters = 0
}

/* mui_hold(): take the word, or announce and sleep. The announced word is remembered by
 * what matters: any change of it makes the sleeper look again. */
inline hold(me, mark)
{
	slept = false;
	do
	:: atomic { holder == 0 -> holder = me + 1; passing = mark; waiters = slept; draining = false };
		break
	:: atomic { holder != 0 -> waiters = true; saw = holder; saw_d = draining; saw_p = passing };
		if
		:: atomic { holder == saw && waiters && draining == saw_d && passing == saw_p ->
			asleep_waiters++ };
			atomic { awake_waiters > 0 -> awake_waiters-- }
		:: atomic { !(holder == saw && waiters && draining == saw_d && passing == saw_p) -> skip }
		fi;
		slept = true
	od
}

inline let_go()
{
	atomic { woke = waiters; holder = 0; passing = false; waiters = false; draining = false };
	if
	:: woke -> atomic { wake_waiters() }
	:: else
	fi
}

inline leave()
{
#ifdef BUG_LEAVE_FIRST
	saw_d = draining;
	seats--;
#else
	seats--;            /* D1 */
	saw_d = draining;   /* D2 */
#endif
	if
	:: saw_d ->
#ifndef BUG_MARK_KEPT
		draining = false;
#endif
#ifdef BUG_ANY_WAKE
		atomic {
			if
			:: asleep_waiters > 0 -> asleep_waiters--; awake_waiters++
			:: asleep_waiters == 0 && asleep_holder -> asleep_holder = false; awake_holder = true
			:: else
			fi
		}
#else
		atomic {
			if
			:: asleep_holder -> asleep_holder = false; awake_holder = true
			:: else
			fi
		}
#endif
	:: else
	fi
}

active [N_READERS] proctype reader()
{
	byte i, saw;
	bool saw_d, saw_p, slept, woke, in;

	do
	:: i < N_ROUNDS ->
		in = false;
#ifdef BUG_LOOK_FIRST
		if
		:: lets_in -> seats++; in = true
		:: else
		fi;
#else
		seats++;                                /* S1 */
		if
		:: lets_in -> in = true                 /* S2 */
		:: else -> leave()
		fi;
#endif
		if
		:: !in ->
			hold(_pid, true);
			seats++;
			let_go()
		:: else
		fi;
		n_reading++;
		assert(n_writing == 0);
		n_reading--;
		leave();
		i++
	:: else -> break
	od
}

active proctype writer()
{
	byte i, saw;
	bool saw_d, saw_p, saw_w, slept, woke;

	do
	:: i < N_ROUNDS ->
		hold(_pid, false);                      /* S3 */
		atomic { saw_d = draining; saw_w = waiters };
		do
		:: seats == 0 -> break                  /* S4, D4 */
		:: seats != 0 ->
			if
			:: !saw_d ->                    /* D3 */
				atomic { draining = true; saw_d = true; saw_w = waiters };
#ifdef BUG_DRAIN_UNCHECKED
				goto sleep
#endif
			:: saw_d ->
#ifdef BUG_DRAIN_UNCHECKED
sleep:
#endif
				if
				:: atomic { draining && waiters == saw_w -> asleep_holder = true };
					atomic { awake_holder -> awake_holder = false }
				:: atomic { !(draining && waiters == saw_w) -> skip }
				fi;
				atomic { saw_d = draining; saw_w = waiters }
			fi
		od;
		n_writing++;
		assert(n_reading == 0 && n_writing == 1);
		n_writing--;
		let_go();
		i++
	:: else -> break
	od
}
