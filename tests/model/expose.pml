/* expose.pml: forking, exposing, stealing, taking back and joining (src/team/fork.c):
 * in every interleaving of one owner and two thieves each job runs once, and the
 * owner comes out of every join.
 *
 * Weakened: -DBUG_STATE_LATE (a slot is made ready after it was exposed),
 * -DBUG_EXPOSE_STORE (more is exposed by a store, not an exchange), -DBUG_RECLAIM_STORE
 * (taking back by a store, not an exchange), -DBUG_LIMIT_LOW (the limit lies below what
 * was exposed), -DBUG_STEAL_STORE (a thief moves the tail by a store). Each has to
 * fail. */
#define N_SLOTS  3
#define N_ROUNDS 2
#define DONE     2

byte tail, split; /* one word: read and written together */
byte limit;       /* slots at or above it are the owner's */
bool raised;      /* the limit is over all slots */
byte state[N_SLOTS] = DONE; /* as an earlier use left it: 0 untaken, 1, DONE */
byte runs[N_SLOTS];
bool is_over;

inline lower(to)
{
	atomic {
#ifdef BUG_LIMIT_LOW
		limit = 0;
#else
		limit = to;
#endif
		raised = false
	}
}

/* Expose the older half of the private slots below top; also where some are exposed,
 * or not then (seat_wanted()). */
inline feed(top)
{
	if
	:: top > split ->
		end = split + (top - split + 1) / 2;
#ifdef BUG_STATE_LATE
		from = split;
		split = end;
		i = from;
		do
		:: i < end -> state[i] = 0; i++
		:: else -> break
		od;
#else
		from = tail;
		i = split;
		do
		:: i < end -> state[i] = 0; i++
		:: else -> break
		od;
#ifdef BUG_EXPOSE_STORE
		atomic { tail = from; split = end };
#else
		split = end; /* E1: an exchange, which leaves the tail */
#endif
#endif
		lower(split)
	:: tail < split -> lower(split)
	:: top == split && tail == split
	fi
}

inline join(s)
{
	if
	:: atomic { !raised && s >= limit } -> runs[s]++
	:: atomic { raised || s < limit } ->
		if
		:: s >= split -> feed(s); runs[s]++
		:: s < split ->
#ifdef BUG_RECLAIM_STORE
			from = tail;
			if
			:: from <= s -> atomic { tail = from; split = from + (s - from) / 2 };
				lower(split); runs[s]++
			:: else -> state[s] == DONE; atomic { tail = s; split = s }; lower(s)
			fi
#else
			if
			:: atomic { tail <= s -> split = tail + (s - tail) / 2 };
				lower(split); runs[s]++
			:: tail > s ->
				state[s] == DONE; /* E2, after T3 */
				atomic { tail = s; split = s };
				lower(s)
			fi
#endif
		fi
	fi
}

active proctype owner()
{
	byte round, end, i, from, n;

	do
	:: round < N_ROUNDS ->
		n = 0;
		do
		:: n < N_SLOTS ->
			n++; /* a fork; what the slot held before is joined */
			if
			:: raised -> feed(n)
			:: !raised
			fi
		:: n == N_SLOTS -> break
		od;
		do
		:: n > 0 -> n--; join(n)
		:: n == 0 -> break
		od;
		assert(tail == 0 && split == 0);
		d_step {
			i = 0;
			do
			:: i < N_SLOTS -> assert(runs[i] == 1); runs[i] = 0; i++
			:: else -> break
			od
		};
		round++
	:: round == N_ROUNDS -> break
	od;
	is_over = true
}

active [2] proctype thief()
{
	byte t, s;

	do
	:: !is_over && !raised -> raised = true
	:: atomic { tail < split -> t = tail; s = split };
#ifdef BUG_STEAL_STORE
		tail = t + 1;
#else
		if
		:: atomic { tail == t && split == s -> tail = t + 1 }
		:: atomic { tail != t || split != s } -> goto lost
		fi;
#endif
		state[t] = 1; /* T2 */
		runs[t]++;
		state[t] = DONE; /* T3 */
lost:		skip
	:: is_over -> break
	od
}
