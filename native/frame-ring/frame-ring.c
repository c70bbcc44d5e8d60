// SPDX-License-Identifier: MIT
#include "frame-ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "frame-ring-platform.h"
#include "frame-ring-slots.h"

/** How long one who knocks may take to say hello. */
#define HELLO_TIMEOUT_US 2000000

/** How long the listener rests where the system gives no descriptor for one who knocks. */
#define LISTENER_REST_US 100000

/** Readers, and some more who knock. */
#define CONNECTIONS_MAX (FRAME_RING_READERS_MAX + 4U)

/** The most doorbells that are read before a look at the ring: a peer that floods is not listened to for
 * ever. */
#define DOORBELLS_AT_ONCE 64

enum role { ROLE_WRITER = 1, ROLE_READER = 2 };

/** The first message of each side. Magic and version stay where they are in all versions. */
struct hello {
	uint64_t magic;
	uint32_t abi_version;
	/** An enum role. */
	uint32_t role;
	/** FRAME_RING_OK, or why the writer will not serve: an enum frame_ring_status. */
	uint32_t answer;
	uint32_t reserved;
	uint64_t writer_generation;
	uint64_t more_reserved[4];
};
static_assert(sizeof(struct hello) == 64, "ABI 1");
static_assert(offsetof(struct hello, abi_version) == 8, "ABI 1, and of every other");
static_assert(offsetof(struct hello, writer_generation) == 24, "ABI 1");

#define HELLO_BYTES_MIN 12U

/** All later messages, from the writer alone: there is a picture. A reader looks at the ring, not at these.
 */
struct doorbell {
	uint64_t serial;
};

/** FRAME_RING_BAD_HEADER for what is no hello, FRAME_RING_OTHER_VERSION for one that says so. */
static enum frame_ring_status
check_hello(const struct hello* hello, size_t bytes, enum role role, struct hello* checked) {
	if (bytes < HELLO_BYTES_MIN || hello->magic != FRAME_RING_MAGIC) return FRAME_RING_BAD_HEADER;
	if (hello->abi_version != FRAME_RING_ABI_VERSION) return FRAME_RING_OTHER_VERSION;
	if (bytes != sizeof *hello || hello->role != (uint32_t)role) return FRAME_RING_BAD_HEADER;
	*checked = *hello;
	return FRAME_RING_OK;
}

/** The whole message that an end comes with. */
static const uint8_t END_MARK = 'E';

enum frame_ring_status frame_ring_pass(frame_ring_handle channel, frame_ring_handle end) {
	if (end < 0) return FRAME_RING_BAD_ARGUMENT;
	const struct frame_ring_memory passed = {.handle = end};
	return frame_ring_send(channel, &END_MARK, sizeof END_MARK, &passed);
}

enum frame_ring_status frame_ring_take(frame_ring_handle channel, frame_ring_handle* end) {
	uint8_t mark = 0;
	size_t bytes = sizeof mark;
	const enum frame_ring_status status = frame_ring_receive(channel, &mark, &bytes, end);
	if (status != FRAME_RING_OK) return status;
	if (bytes == sizeof mark && mark == END_MARK && *end != FRAME_RING_NO_HANDLE) return FRAME_RING_OK;
	frame_ring_channel_close(*end);
	*end = FRAME_RING_NO_HANDLE;
	return FRAME_RING_BAD_HEADER;
}

static enum frame_ring_status say_hello(
	frame_ring_handle channel,
	enum role role,
	enum frame_ring_status answer,
	uint64_t generation,
	const struct frame_ring_memory* memory
) {
	const struct hello hello = {
		.magic = FRAME_RING_MAGIC,
		.abi_version = FRAME_RING_ABI_VERSION,
		.role = (uint32_t)role,
		.answer = (uint32_t)answer,
		.writer_generation = generation,
	};
	return frame_ring_send(channel, &hello, sizeof hello, memory);
}

const char* frame_ring_status_name(enum frame_ring_status status) {
	static const char* const names[] = {
		[FRAME_RING_OK] = "FRAME_RING_OK",
		[FRAME_RING_NO_FRAME] = "FRAME_RING_NO_FRAME",
		[FRAME_RING_TIMEOUT] = "FRAME_RING_TIMEOUT",
		[FRAME_RING_INTERRUPTED] = "FRAME_RING_INTERRUPTED",
		[FRAME_RING_ENDED] = "FRAME_RING_ENDED",
		[FRAME_RING_PEER_GONE] = "FRAME_RING_PEER_GONE",
		[FRAME_RING_OTHER_VERSION] = "FRAME_RING_OTHER_VERSION",
		[FRAME_RING_BAD_HEADER] = "FRAME_RING_BAD_HEADER",
		[FRAME_RING_NOT_SEALED] = "FRAME_RING_NOT_SEALED",
		[FRAME_RING_BAD_FRAME] = "FRAME_RING_BAD_FRAME",
		[FRAME_RING_TOO_SMALL] = "FRAME_RING_TOO_SMALL",
		[FRAME_RING_TOO_MANY_READERS] = "FRAME_RING_TOO_MANY_READERS",
		[FRAME_RING_NOBODY_THERE] = "FRAME_RING_NOBODY_THERE",
		[FRAME_RING_PATH_IN_USE] = "FRAME_RING_PATH_IN_USE",
		[FRAME_RING_BAD_ARGUMENT] = "FRAME_RING_BAD_ARGUMENT",
		[FRAME_RING_SYSTEM] = "FRAME_RING_SYSTEM",
	};
	const size_t index = (size_t)status;
	return index < sizeof names / sizeof names[0] ? names[index] : "FRAME_RING_UNKNOWN";
}

// The writer.

/**
 * Who may do what to a connection. The thread that writes takes a SERVED one for the moment of a send, and
 * the thread that serves takes it to hang up; each leaves alone what the other has, so neither waits, and no
 * doorbell goes to a descriptor that is closed.
 */
enum connection_state {
	CONNECTION_FREE,
	CONNECTION_CLAIMED, // by the one who adopts or accepts, until the channel is in it
	CONNECTION_KNOCKING, // of the thread that serves: has not said hello
	CONNECTION_SERVED,
	CONNECTION_RINGING, // of the thread that writes
	CONNECTION_CLOSING, // of the thread that serves
};

struct connection {
	_Atomic int state;
	frame_ring_handle channel;
	int64_t hello_until_us;
};

struct frame_ring_writer {
	struct frame_ring_memory memory;
	struct frame_ring_slots slots;
	/** Of the newest picture published. */
	uint64_t serial;
	bool is_open;

	struct connection connections[CONNECTIONS_MAX];
	struct frame_ring_listener listener;
	/** 0 before `listen`, 1 while it is at work, 2 when the listener may be polled. */
	_Atomic int listening;
	int64_t listener_rests_until_us;
	frame_ring_handle waker;
	atomic_bool is_interrupted;
};

enum frame_ring_status frame_ring_writer_create(
	uint32_t slot_count, uint64_t payload_bytes_max, struct frame_ring_writer** created
) {
	const uint64_t bytes = frame_ring_slots_bytes(slot_count, payload_bytes_max);
	if (bytes == 0) return FRAME_RING_BAD_ARGUMENT;
	struct frame_ring_writer* writer = calloc(1, sizeof *writer);
	if (!writer) return FRAME_RING_SYSTEM;
	writer->memory.handle = FRAME_RING_NO_HANDLE;
	writer->listener.handle = FRAME_RING_NO_HANDLE;
	writer->waker = FRAME_RING_NO_HANDLE;

	enum frame_ring_status status = frame_ring_waker_create(&writer->waker);
	if (status == FRAME_RING_OK) status = frame_ring_memory_create(bytes, &writer->memory);
	if (status != FRAME_RING_OK) {
		const int error = errno;
		frame_ring_waker_release(writer->waker);
		free(writer);
		errno = error;
		return status;
	}
	frame_ring_slots_format(
		&writer->slots, writer->memory.address, slot_count, payload_bytes_max, frame_ring_random()
	);
	*created = writer;
	return FRAME_RING_OK;
}

static bool change(struct connection* connection, enum connection_state from, enum connection_state to) {
	int expected = (int)from;
	return atomic_compare_exchange_strong_explicit(
		&connection->state, &expected, (int)to, memory_order_acq_rel, memory_order_relaxed
	);
}

static enum connection_state state_of(const struct connection* connection) {
	return (enum connection_state)atomic_load_explicit(&connection->state, memory_order_acquire);
}

/** Finds a place for one who knocks. The channel is closed where there is none. */
static enum frame_ring_status welcome(struct frame_ring_writer* writer, frame_ring_handle channel) {
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) {
		struct connection* connection = &writer->connections[i];
		if (!change(connection, CONNECTION_FREE, CONNECTION_CLAIMED)) continue;
		connection->channel = channel;
		connection->hello_until_us = frame_ring_now_us() + HELLO_TIMEOUT_US;
		atomic_store_explicit(&connection->state, CONNECTION_KNOCKING, memory_order_release);
		return FRAME_RING_OK;
	}
	frame_ring_channel_close(channel);
	return FRAME_RING_TOO_MANY_READERS;
}

enum frame_ring_status frame_ring_writer_listen(struct frame_ring_writer* writer, const char* path) {
	int expected = 0;
	if (!atomic_compare_exchange_strong(&writer->listening, &expected, 1)) return FRAME_RING_BAD_ARGUMENT;
	const enum frame_ring_status status = frame_ring_listen(path, &writer->listener);
	atomic_store_explicit(&writer->listening, status == FRAME_RING_OK ? 2 : 0, memory_order_release);
	if (status == FRAME_RING_OK) frame_ring_waker_wake(writer->waker);
	return status;
}

enum frame_ring_status frame_ring_writer_adopt(struct frame_ring_writer* writer, frame_ring_handle end) {
	enum frame_ring_status status = frame_ring_channel_adopt(end);
	if (status == FRAME_RING_OK) {
		status = welcome(writer, end);
		frame_ring_waker_wake(writer->waker);
	} else if (status != FRAME_RING_BAD_ARGUMENT) {
		frame_ring_channel_close(end);
	}
	return status;
}

uint32_t frame_ring_writer_reader_count(const struct frame_ring_writer* writer) {
	uint32_t count = 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) {
		const enum connection_state state = state_of(&writer->connections[i]);
		if (state == CONNECTION_SERVED || state == CONNECTION_RINGING) ++count;
	}
	return count;
}

static void ring_doorbell(struct connection* connection, uint64_t serial) {
	if (!change(connection, CONNECTION_SERVED, CONNECTION_RINGING)) return;
	const struct doorbell doorbell = {serial};
	// A full channel will wake its reader anyway; of one that hung up, the thread that serves hears.
	(void)frame_ring_send(connection->channel, &doorbell, sizeof doorbell, NULL);
	atomic_store_explicit(&connection->state, CONNECTION_SERVED, memory_order_release);
}

/** `from` is the state that only the thread that serves leaves, or SERVED, which may be RINGING right now. */
static void hang_up(struct connection* connection, enum connection_state from) {
	// A connection that is rung at this moment stays ready in the next poll, and is hung up then.
	if (!change(connection, from, CONNECTION_CLOSING)) return;
	frame_ring_channel_close(connection->channel);
	atomic_store_explicit(&connection->state, CONNECTION_FREE, memory_order_release);
}

/** Hears the hello of one who knocks, and begins to serve or hangs up. */
static void answer_knock(struct frame_ring_writer* writer, struct connection* connection) {
	struct hello heard, hello;
	size_t bytes = sizeof heard;
	memset(&heard, 0, sizeof heard);
	enum frame_ring_status status = frame_ring_receive(connection->channel, &heard, &bytes, NULL);
	if (status == FRAME_RING_NO_FRAME) return;
	if (status == FRAME_RING_OK) status = check_hello(&heard, bytes, ROLE_READER, &hello);
	if (status == FRAME_RING_OK && frame_ring_writer_reader_count(writer) >= FRAME_RING_READERS_MAX)
		status = FRAME_RING_TOO_MANY_READERS;

	if (status == FRAME_RING_OK) frame_ring_slots_restate(&writer->slots);
	const uint64_t generation = writer->slots.geometry.writer_generation;
	const struct frame_ring_memory* memory = status == FRAME_RING_OK ? &writer->memory : NULL;
	const enum frame_ring_status sent =
		say_hello(connection->channel, ROLE_WRITER, status, generation, memory);
	if (status != FRAME_RING_OK || sent != FRAME_RING_OK) {
		hang_up(connection, CONNECTION_KNOCKING);
		return;
	}
	atomic_store_explicit(&connection->state, CONNECTION_SERVED, memory_order_release);
	// Either the writer sees the new reader, or this sees the writer's new picture (commit has the other
	// fence).
	atomic_thread_fence(memory_order_seq_cst);
	const uint64_t latest = frame_ring_slots_latest(&writer->slots);
	if (latest > 0) ring_doorbell(connection, latest);
}

static void accept_all(struct frame_ring_writer* writer) {
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) {
		frame_ring_handle channel = FRAME_RING_NO_HANDLE;
		const enum frame_ring_status status = frame_ring_accept(&writer->listener, &channel);
		if (status == FRAME_RING_OK) {
			(void)welcome(writer, channel);
			continue;
		}
		if (status != FRAME_RING_NO_FRAME) {
			writer->listener_rests_until_us = frame_ring_now_us() + LISTENER_REST_US;
		}
		return;
	}
}

static int64_t earlier(int64_t a_us, int64_t b_us) {
	if (a_us < 0) return b_us;
	return b_us < 0 || a_us < b_us ? a_us : b_us;
}

/** Sleeps until somebody wants something, and sees to it. FRAME_RING_TIMEOUT where `until_us` is over. */
static enum frame_ring_status serve_once(struct frame_ring_writer* writer, int64_t until_us) {
	struct frame_ring_poll_entry entries[2 + CONNECTIONS_MAX] = {{writer->waker, false}};
	struct connection* polled[2 + CONNECTIONS_MAX] = {NULL};
	size_t count = 1, first = 1;
	int64_t wake_us = until_us;
	const int64_t now_us = frame_ring_now_us();
	if (atomic_load_explicit(&writer->listening, memory_order_acquire) == 2) {
		if (now_us < writer->listener_rests_until_us) {
			wake_us = earlier(wake_us, writer->listener_rests_until_us);
		} else {
			entries[count++] = (struct frame_ring_poll_entry){writer->listener.handle, false};
			first = count;
		}
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) {
		struct connection* connection = &writer->connections[i];
		const enum connection_state state = state_of(connection);
		if (state == CONNECTION_FREE || state == CONNECTION_CLAIMED) continue;
		if (state == CONNECTION_KNOCKING && now_us >= connection->hello_until_us) {
			hang_up(connection, CONNECTION_KNOCKING);
			continue;
		}
		if (state == CONNECTION_KNOCKING) wake_us = earlier(wake_us, connection->hello_until_us);
		polled[count] = connection;
		entries[count++] = (struct frame_ring_poll_entry){connection->channel, false};
	}

	const enum frame_ring_status status = frame_ring_poll(entries, count, wake_us);
	if (status == FRAME_RING_TIMEOUT) {
		return until_us >= 0 && frame_ring_now_us() >= until_us ? FRAME_RING_TIMEOUT : FRAME_RING_OK;
	}
	if (status != FRAME_RING_OK) return status;
	if (entries[0].is_ready) frame_ring_waker_drain(writer->waker);
	for (size_t i = first; i < count; ++i) {
		if (!entries[i].is_ready) continue;
		if (state_of(polled[i]) == CONNECTION_KNOCKING) {
			answer_knock(writer, polled[i]);
		} else {
			// A reader has nothing to say after its hello: this is its end, or it speaks something else.
			hang_up(polled[i], CONNECTION_SERVED);
		}
	}
	if (first == 2 && entries[1].is_ready) accept_all(writer);
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_writer_serve(struct frame_ring_writer* writer, int timeout_ms) {
	const int64_t until_us = timeout_ms < 0 ? -1 : frame_ring_now_us() + (int64_t)timeout_ms * 1000;
	for (;;) {
		if (atomic_load_explicit(&writer->is_interrupted, memory_order_acquire))
			return FRAME_RING_INTERRUPTED;
		const enum frame_ring_status status = serve_once(writer, until_us);
		if (status != FRAME_RING_OK) return status;
	}
}

void frame_ring_writer_interrupt(struct frame_ring_writer* writer) {
	atomic_store_explicit(&writer->is_interrupted, true, memory_order_release);
	frame_ring_waker_wake(writer->waker);
}

void frame_ring_writer_begin(struct frame_ring_writer* writer) {
	frame_ring_slots_begin(&writer->slots, writer->serial + 1);
	writer->is_open = true;
}

enum frame_ring_status frame_ring_writer_put(
	struct frame_ring_writer* writer, uint64_t offset_bytes, const void* data, size_t bytes
) {
	const uint64_t most = writer->slots.geometry.payload_bytes_max;
	if (!writer->is_open || offset_bytes > most || bytes > most - offset_bytes)
		return FRAME_RING_BAD_ARGUMENT;
	frame_ring_slots_put(&writer->slots, writer->serial + 1, offset_bytes, data, bytes);
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_writer_commit(
	struct frame_ring_writer* writer, const struct frame_ring_frame* frame, uint32_t* slot
) {
	if (!writer->is_open) return FRAME_RING_BAD_ARGUMENT;
	const enum frame_ring_status status =
		frame_ring_frame_check(frame, writer->slots.geometry.payload_bytes_max);
	if (status != FRAME_RING_OK) return status;
	writer->is_open = false;
	writer->serial += 1;
	frame_ring_slots_commit(&writer->slots, writer->serial, frame);
	if (slot) *slot = (uint32_t)(writer->serial % writer->slots.geometry.slot_count);
	atomic_thread_fence(memory_order_seq_cst); // see answer_knock
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) ring_doorbell(&writer->connections[i], writer->serial);
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_writer_write(
	struct frame_ring_writer* writer, const struct frame_ring_frame* frame, const void* data, uint32_t* slot
) {
	const enum frame_ring_status status =
		frame_ring_frame_check(frame, writer->slots.geometry.payload_bytes_max);
	if (status != FRAME_RING_OK) return status;
	frame_ring_writer_begin(writer);
	frame_ring_slots_put(&writer->slots, writer->serial + 1, 0, data, (size_t)frame->payload_bytes);
	return frame_ring_writer_commit(writer, frame, slot);
}

void frame_ring_writer_close(struct frame_ring_writer* writer) {
	if (!writer) return;
	frame_ring_slots_end(&writer->slots);
	for (size_t i = 0; i < CONNECTIONS_MAX; ++i) {
		if (state_of(&writer->connections[i]) != CONNECTION_FREE)
			frame_ring_channel_close(writer->connections[i].channel);
	}
	frame_ring_unlisten(&writer->listener);
	frame_ring_waker_release(writer->waker);
	frame_ring_memory_release(&writer->memory);
	free(writer);
}

// The reader.

struct frame_ring_reader {
	frame_ring_handle channel;
	frame_ring_handle waker;
	bool is_open;
	/** The channel has nothing more to say. */
	bool is_peer_gone;
	struct frame_ring_memory memory;
	struct frame_ring_slots slots;
	struct frame_ring_cursor cursor;
	atomic_bool is_interrupted;
};

/** A reader that has said hello. The channel is closed where there is none. */
static enum frame_ring_status begin_reading(frame_ring_handle channel, struct frame_ring_reader** created) {
	struct frame_ring_reader* reader = calloc(1, sizeof *reader);
	if (!reader) {
		frame_ring_channel_close(channel);
		return FRAME_RING_SYSTEM;
	}
	reader->channel = channel;
	reader->memory.handle = FRAME_RING_NO_HANDLE;
	enum frame_ring_status status = frame_ring_waker_create(&reader->waker);
	if (status == FRAME_RING_OK) {
		status = say_hello(channel, ROLE_READER, FRAME_RING_OK, 0, NULL);
		if (status != FRAME_RING_OK) frame_ring_waker_release(reader->waker);
	}
	if (status != FRAME_RING_OK) {
		frame_ring_channel_close(channel);
		free(reader);
		return status;
	}
	*created = reader;
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_reader_connect(const char* path, struct frame_ring_reader** reader) {
	frame_ring_handle channel = FRAME_RING_NO_HANDLE;
	const enum frame_ring_status status = frame_ring_connect(path, &channel);
	return status == FRAME_RING_OK ? begin_reading(channel, reader) : status;
}

enum frame_ring_status frame_ring_reader_adopt(frame_ring_handle end, struct frame_ring_reader** reader) {
	const enum frame_ring_status status = frame_ring_channel_adopt(end);
	if (status == FRAME_RING_OK) return begin_reading(end, reader);
	if (status != FRAME_RING_BAD_ARGUMENT) frame_ring_channel_close(end);
	return status;
}

/** Sleeps until the channel has something, or the reader is interrupted. */
static enum frame_ring_status wait_for_channel(struct frame_ring_reader* reader, int64_t until_us) {
	if (atomic_load_explicit(&reader->is_interrupted, memory_order_acquire)) return FRAME_RING_INTERRUPTED;
	struct frame_ring_poll_entry entries[] = {{reader->waker, false}, {reader->channel, false}};
	const enum frame_ring_status status = frame_ring_poll(entries, 2, until_us);
	// The wake is left there: it is for all later waits too.
	return status == FRAME_RING_OK && entries[0].is_ready ? FRAME_RING_INTERRUPTED : status;
}

static enum frame_ring_status map_ring(struct frame_ring_reader* reader, uint64_t generation) {
	enum frame_ring_status status =
		frame_ring_slots_open(&reader->slots, reader->memory.address, reader->memory.bytes);
	if (status == FRAME_RING_OK && reader->slots.geometry.writer_generation != generation)
		status = FRAME_RING_BAD_HEADER;
	if (status != FRAME_RING_OK) {
		frame_ring_memory_release(&reader->memory);
		return status;
	}
	reader->cursor = frame_ring_slots_cursor(&reader->slots);
	reader->is_open = true;
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_reader_open(struct frame_ring_reader* reader, int timeout_ms) {
	if (reader->is_open) return FRAME_RING_BAD_ARGUMENT;
	const int64_t until_us = timeout_ms < 0 ? -1 : frame_ring_now_us() + (int64_t)timeout_ms * 1000;
	struct hello heard, hello;
	memset(&heard, 0, sizeof heard);
	memset(&hello, 0, sizeof hello);
	frame_ring_handle memory = FRAME_RING_NO_HANDLE;
	size_t bytes = sizeof heard;
	enum frame_ring_status status = FRAME_RING_NO_FRAME;
	while (status == FRAME_RING_NO_FRAME) {
		status = wait_for_channel(reader, until_us);
		if (status != FRAME_RING_OK) return status;
		bytes = sizeof heard;
		status = frame_ring_receive(reader->channel, &heard, &bytes, &memory);
	}
	if (status != FRAME_RING_OK) return status;

	status = check_hello(&heard, bytes, ROLE_WRITER, &hello);
	if (status == FRAME_RING_OK && hello.answer != FRAME_RING_OK) {
		const bool is_full = hello.answer == (uint32_t)FRAME_RING_TOO_MANY_READERS;
		status = is_full ? FRAME_RING_TOO_MANY_READERS : FRAME_RING_BAD_HEADER;
	}
	if (status == FRAME_RING_OK && memory == FRAME_RING_NO_HANDLE) status = FRAME_RING_BAD_HEADER;
	if (status != FRAME_RING_OK) {
		frame_ring_channel_close(memory);
		return status;
	}
	status = frame_ring_memory_map(memory, &reader->memory);
	return status == FRAME_RING_OK ? map_ring(reader, hello.writer_generation) : status;
}

uint64_t frame_ring_reader_payload_bytes_max(const struct frame_ring_reader* reader) {
	return reader->slots.geometry.payload_bytes_max;
}

uint32_t frame_ring_reader_slot_count(const struct frame_ring_reader* reader) {
	return reader->slots.geometry.slot_count;
}

uint64_t frame_ring_reader_generation(const struct frame_ring_reader* reader) {
	return reader->slots.geometry.writer_generation;
}

static void read_doorbells(struct frame_ring_reader* reader) {
	for (int i = 0; i < DOORBELLS_AT_ONCE; ++i) {
		struct doorbell doorbell;
		size_t bytes = sizeof doorbell;
		const enum frame_ring_status status = frame_ring_receive(reader->channel, &doorbell, &bytes, NULL);
		if (status == FRAME_RING_NO_FRAME) return;
		if (status != FRAME_RING_OK) {
			reader->is_peer_gone = true;
			return;
		}
	}
}

enum frame_ring_status frame_ring_reader_wait(struct frame_ring_reader* reader, int timeout_ms) {
	if (!reader->is_open) return FRAME_RING_BAD_ARGUMENT;
	const int64_t until_us = timeout_ms < 0 ? -1 : frame_ring_now_us() + (int64_t)timeout_ms * 1000;
	for (;;) {
		// First the doorbells, then the ring: a picture that comes after this look rings again.
		if (!reader->is_peer_gone) read_doorbells(reader);
		if (atomic_load_explicit(&reader->is_interrupted, memory_order_acquire))
			return FRAME_RING_INTERRUPTED;
		if (frame_ring_slots_latest(&reader->slots) != reader->cursor.seen) return FRAME_RING_OK;
		if (reader->is_peer_gone) {
			const bool has_ended = frame_ring_slots_state(&reader->slots) == FRAME_RING_STATE_ENDED;
			return has_ended ? FRAME_RING_ENDED : FRAME_RING_PEER_GONE;
		}
		// Asked here and not of `poll`, which is ready all the time where a peer floods.
		if (until_us >= 0 && frame_ring_now_us() >= until_us) return FRAME_RING_TIMEOUT;
		const enum frame_ring_status status = wait_for_channel(reader, until_us);
		if (status != FRAME_RING_OK) return status;
	}
}

void frame_ring_reader_interrupt(struct frame_ring_reader* reader) {
	atomic_store_explicit(&reader->is_interrupted, true, memory_order_release);
	frame_ring_waker_wake(reader->waker);
}

enum frame_ring_status frame_ring_read_newest(
	struct frame_ring_reader* reader, void* target, size_t capacity_bytes, struct frame_ring_taken* taken
) {
	if (!reader->is_open) return FRAME_RING_BAD_ARGUMENT;
	return frame_ring_slots_read_newest(&reader->slots, &reader->cursor, target, capacity_bytes, taken);
}

enum frame_ring_status frame_ring_read_slot(
	const struct frame_ring_reader* reader,
	uint32_t slot,
	uint64_t sequence,
	void* target,
	size_t capacity_bytes,
	struct frame_ring_taken* taken
) {
	if (!reader->is_open) return FRAME_RING_BAD_ARGUMENT;
	return frame_ring_slots_read(&reader->slots, slot, sequence, target, capacity_bytes, taken);
}

void frame_ring_reader_close(struct frame_ring_reader* reader) {
	if (!reader) return;
	frame_ring_channel_close(reader->channel);
	frame_ring_waker_release(reader->waker);
	frame_ring_memory_release(&reader->memory);
	free(reader);
}
