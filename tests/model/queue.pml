/* queue.pml: tickets in a ring of two cells, from two submitters, who may wait, to a taker
 * (src/team/submit.c). A cell is one word, {ticket, lap}; laps wrap after two, far
 * sooner than the code's. A submitter that waits may take its ticket back. Every
 * ticket runs once, and a taker that finds nothing may sleep until the next is put.
 *
 * Weakened: -DBUG_TAKE_STORE (a cell is emptied by a load and a store),
 * -DBUG_PUT_UNCLAIMED (a cell is filled before its position was claimed),
 * -DBUG_LAP_KEPT (an emptied cell keeps its lap), -DBUG_TAKE_AHEAD (takers begin
 * behind a cell that was not filled yet), -DBUG_TAKE_BEHIND (takers begin where no
 * taker came for laps, and take a cell of this lap for one of that). Each has to
 * fail. */
#define N           2
#define N_SUBMITS   2
#define LAP(at)     (((at) / N) % 2)
#define PACK(t, l)  ((t) + 4 * (l))
#define TICKET(w)   ((w) % 4)
#define WORD_LAP(w) ((w) / 4)

byte cells[N];
byte put, take, n_puts, n_finished;
byte n_runs[3]; /* of the ticket of submitter 1 and 2 */
bool is_done[3], is_running[3];

inline work(t)
{
	assert(!is_done[t] && !is_running[t]);
	is_running[t] = true;
	n_runs[t]++;
	d_step { is_running[t] = false; is_done[t] = true }
}

/* cell_empty() */
inline cell_empty(i, w, ok)
{
#ifdef BUG_LAP_KEPT
	atomic { ok = (cells[i] == w); if :: ok -> cells[i] = PACK(0, WORD_LAP(w)) :: else fi }
#elif defined(BUG_TAKE_STORE)
	ok = (cells[i] == w);
	if :: ok -> cells[i] = PACK(0, 1 - WORD_LAP(w)) :: else fi
#else
	atomic { ok = (cells[i] == w); if :: ok -> cells[i] = PACK(0, 1 - WORD_LAP(w)) :: else fi }
#endif
}

proctype submitter(byte me)
{
	byte k, at, now, word;
	bool has_cell, ok;

	do
	:: k == N_SUBMITS -> break
	:: else ->
		is_done[me] = false;
		has_cell = false;
		/* queue_put() */
		at = put;
		do
		:: word = cells[at % N];
			if
			:: word == PACK(0, LAP(at)) ->
#ifdef BUG_PUT_UNCLAIMED
				d_step { cells[at % N] = PACK(me, LAP(at)); n_puts++ };
				put = at + 1;
				has_cell = true;
				break
#else
				atomic { ok = (put == at); if :: ok -> put = at + 1 :: else -> at = put fi };
				if
				:: ok ->
					d_step { cells[at % N] = PACK(me, LAP(at)); n_puts++ };
					has_cell = true;
					break
				:: else
				fi
#endif
			:: else ->
				now = at;
				at = put;
				if
				:: at == now -> break
				:: else
				fi
			fi
		od;
		/* mu_ticket_wait() */
		if
		:: !has_cell -> work(me)
		:: has_cell -> /* leave it to the takers */ is_done[me]
		:: has_cell ->
			word = cells[at % N];
			if
			:: TICKET(word) == me ->
				cell_empty(at % N, word, ok);
				if
				:: ok -> work(me)
				:: else -> is_done[me]
				fi
			:: else -> is_done[me]
			fi
		fi;
		d_step { k++; assert(n_runs[me] == k); at = 0; now = 0; word = 0; ok = false; has_cell = false }
	od;
	n_finished++
}

proctype taker()
{
	byte at, first, word, seen;
	bool ok;

	do
	:: seen = n_puts;
		/* queue_find() */
		first = take;
		at = first;
#ifndef BUG_TAKE_BEHIND
		if
		:: atomic { put > at + N -> at = put - N }
		:: else
		fi;
#endif
		do
		:: word = cells[at % N];
			if
			:: WORD_LAP(word) == LAP(at) -> break
			:: else -> at++
			fi
		od;
#ifdef BUG_TAKE_AHEAD
		atomic { if :: take == first -> take = at + 1 :: else fi };
#else
		atomic { if :: take == first -> take = at :: else fi; first = 0 };
#endif
		if
		:: TICKET(word) == 0 ->
			d_step { at = 0; first = 0; ok = false };
			if
			:: n_puts != seen
			:: n_finished == 2 -> break
			fi
		:: else ->
			cell_empty(at % N, word, ok);
			d_step { at = 0; first = 0; seen = 0 };
			if
			:: ok -> work(TICKET(word))
			:: else
			fi;
			d_step { ok = false; word = 0 }
		fi
	od
}

init
{
	atomic { run submitter(1); run submitter(2); run taker() }
}
