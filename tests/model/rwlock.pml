/* rwlock.pml: the read-write lock (src/shared/rwlock.c): two readers and a writer, each
 * alone or not. Its promises: a writer and a reader are never both inside, and nobody
 * sleeps for ever (an invalid end state).
 *
 * The word is its holder, 0 is free; READING, WAITERS and SEATS beside it. The readers are
 * of one process and have one seat. A sleep begins only while the word, or the seat, is what
 * the sleeper saw, as the kernel has it. A loop around a compare-and-swap is one step here:
 * what it saw when it succeeded. No one dies, but a writer's name has SEATS beside it just
 * as long as it may not write: so the dead are told apart.
 *
 * Weakened: -DBUG_LOOK_FIRST (a reader looks at the word before it takes its seat),
 * -DBUG_SEATS_UNSAID (and does not say in the word that it sits), -DBUG_SLEEP_UNCHECKED
 * (the writer sleeps whatever the seat is by then), -DBUG_LEAVE_FIRST (a reader looks for a
 * writer before it leaves), -DBUG_FIRST_WAKES (the first to leave wakes it, not the last),
 * -DBUG_WAITS_UNSAID (the writer does not say that it waits), -DBUG_WRITES_UNSAID (or says so
 * while it writes). Each has to fail. */
#define N_READERS 2
#define N_ROUNDS  2

byte holder;                         /* 0: free; else 1 + who */
bool reading, waiters, says_seats;
byte seats;                          /* readers that sit */
byte n_reading, n_writing;
byte asleep_waiters;                 /* who sleeps for the word */
bool asleep_holder;                  /* its holder sleeps until readers leave */
byte awake_waiters;                  /* woken, not yet running */
bool awake_holder;

#define lets_in  (holder == 0 || reading)
#define may_wait (holder != 0 && !reading)

inline wake_waiters()
{
	awake_waiters = awake_waiters + asleep_waiters;
	asleep_waiters = 0
}

/* mui_hold(): take the word, or announce and sleep; a reader does not wait for one. */
inline hold(me, as_reader)
{
	slept = false;
	has = false;
	do
	:: atomic { holder == 0 -> holder = me + 1; reading = as_reader; waiters = slept;
#ifdef BUG_WAITS_UNSAID
		says_seats = as_reader;
#else
		says_seats = true;
#endif
		has = true };
		break
	:: atomic { as_reader && reading -> skip };
		break
	:: atomic { holder != 0 && !(as_reader && reading) ->
		waiters = true; saw = holder; saw_s = says_seats; saw_r = reading };
		if
		:: atomic { holder == saw && waiters && says_seats == saw_s && reading == saw_r ->
			asleep_waiters++ };
			atomic { awake_waiters > 0 -> awake_waiters-- }
		:: atomic { !(holder == saw && waiters && says_seats == saw_s && reading == saw_r) ->
			skip }
		fi;
		slept = true
	od
}

/* mui_let_go() */
inline let_go(seats_after)
{
	atomic { woke = waiters; holder = 0; reading = false; waiters = false;
		says_seats = seats_after };
	if
	:: woke -> atomic { wake_waiters() }
	:: else
	fi
}

inline get_up()
{
#ifdef BUG_LEAVE_FIRST
	saw_s = may_wait;
	atomic { seats--; last = (seats == 0) };
#else
	atomic { seats--; last = (seats == 0) };        /* D1 */
	saw_s = may_wait;                               /* D2 */
#endif
	if
#ifdef BUG_FIRST_WAKES
	:: saw_s && !last ->
#else
	:: saw_s && last ->
#endif
		atomic {
			if
			:: asleep_holder -> asleep_holder = false; awake_holder = true
			:: else
			fi
		}
	:: else
	fi
}

/* S2 */
inline say_seats()
{
	atomic {
		sits = lets_in;
#ifndef BUG_SEATS_UNSAID
		says_seats = (lets_in -> true : says_seats)
#endif
	}
}

inline sit()
{
#ifdef BUG_LOOK_FIRST
	say_seats();
	if
	:: sits -> seats++
	:: else
	fi
#else
	seats++;                /* S1 */
	say_seats();
	if
	:: !sits -> get_up()
	:: else
	fi
#endif
}

active [N_READERS] proctype reader()
{
	byte i, saw;
	bool saw_s, saw_r, slept, woke, has, sits, last;

	do
	:: i < N_ROUNDS ->
		has = false;
		sits = false;
		if
		:: atomic { holder == 0 && !says_seats -> holder = _pid + 1; reading = true;
			has = true }
		:: atomic { !(holder == 0 && !says_seats) -> skip };
			do
			:: has || sits -> break
			:: else ->
				sit();
				if
				:: !sits -> hold(_pid, true)
				:: else
				fi
			od
		fi;
		n_reading++;
		assert(n_writing == 0);
		n_reading--;
		if
		:: sits -> get_up()
		:: has ->
			if
			:: atomic { !waiters && !says_seats -> holder = 0; reading = false }
			:: atomic { waiters || says_seats -> skip };
				let_go(true)
			fi
		fi;
		i++
	:: else -> break
	od
}

active proctype writer()
{
	byte i, saw;
	bool saw_s, saw_r, slept, woke, has;

	do
	:: i < N_ROUNDS ->
		if
		:: atomic { holder == 0 && !says_seats -> holder = _pid + 1 }
		:: atomic { !(holder == 0 && !says_seats) -> skip };
			hold(_pid, false);                      /* S3 */
			do
			:: atomic { seats == 0 -> saw = 0 };    /* S4 */
				break
			:: atomic { seats != 0 -> saw = seats };        /* D4 */
				assert(says_seats);
				if
#ifdef BUG_SLEEP_UNCHECKED
				:: asleep_holder = true;
#else
				:: atomic { seats == saw -> asleep_holder = true };
#endif
					atomic { awake_holder -> awake_holder = false }
#ifndef BUG_SLEEP_UNCHECKED
				:: atomic { seats != saw -> skip }
#endif
				fi
			od;
#ifndef BUG_WRITES_UNSAID
			says_seats = false
#endif
		fi;
		n_writing++;
		assert(n_reading == 0 && n_writing == 1);
		assert(!says_seats);
		n_writing--;
		let_go(false);
		i++
	:: else -> break
	od
}
