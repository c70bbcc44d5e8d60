// SPDX-License-Identifier: MIT
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame-ring.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a ring needs of the system. One file for each: frame-ring-linux.c; another would do so:
//
// - macOS: memory from shm_open with a random name, unlinked at once, its descriptor passed over a socket of
//   type SOCK_STREAM (there is no SOCK_SEQPACKET), in which messages of known length are told apart by
//   reading that many bytes; a pipe for the waker. POSIX shared memory of macOS takes its size once and keeps
//   it.
// - Windows: memory from CreateFileMapping without a name, whose size is fixed, duplicated into the peer's
//   process (the pipe knows its id) and its handle's number sent in the welcome; a named pipe in message mode
//   with an access list of this user alone; overlapped reads and an event each for `poll`,
//   WaitForMultipleObjects.
//
// No function here blocks but frame_ring_poll.

#define FRAME_RING_NO_HANDLE ((frame_ring_handle) - 1)

/** Memory of several processes, mapped here. */
struct frame_ring_memory {
	void* address;
	uint64_t bytes;
	frame_ring_handle handle;
};

/** Zeroed memory that is there to its last byte, is writable here, and of which nobody can change the size.
 */
enum frame_ring_status frame_ring_memory_create(uint64_t bytes, struct frame_ring_memory* memory);

/**
 * Maps somebody else's memory for reading, all of it, once it is certain that nobody can make it smaller:
 * FRAME_RING_NOT_SEALED otherwise. Takes the handle, whatever the answer.
 */
enum frame_ring_status frame_ring_memory_map(frame_ring_handle handle, struct frame_ring_memory* memory);

void frame_ring_memory_release(struct frame_ring_memory* memory);

/** Where readers knock. */
struct frame_ring_listener {
	frame_ring_handle handle;
	char* path;
	/** Tells the entry at the path from one that another process put there later. */
	uint64_t identity[2];
};

/** Only this user may connect. */
enum frame_ring_status frame_ring_listen(const char* path, struct frame_ring_listener* listener);
/** FRAME_RING_NO_FRAME when nobody knocks. */
enum frame_ring_status
frame_ring_accept(const struct frame_ring_listener* listener, frame_ring_handle* channel);
void frame_ring_unlisten(struct frame_ring_listener* listener);

/** A channel carries short messages whole and in order, holds few of them, and tells when its peer dies. */
enum frame_ring_status frame_ring_connect(const char* path, frame_ring_handle* channel);
/** Makes a channel of a handle that came from elsewhere; FRAME_RING_BAD_ARGUMENT where it cannot be one. */
enum frame_ring_status frame_ring_channel_adopt(frame_ring_handle handle);
void frame_ring_channel_close(frame_ring_handle channel);

/** Sends memory along unless null. FRAME_RING_NO_FRAME when the channel is full. */
enum frame_ring_status frame_ring_send(
	frame_ring_handle channel, const void* message, size_t bytes, const struct frame_ring_memory* memory
);

/**
 * Receives a message; `bytes` comes out as its length, which may be more than the capacity that went in.
 * FRAME_RING_NO_FRAME when there is none. Memory that came along is the caller's, or dropped where `memory`
 * is null.
 */
enum frame_ring_status
frame_ring_receive(frame_ring_handle channel, void* message, size_t* bytes, frame_ring_handle* memory);

/** Wakes a thread in frame_ring_poll; a wake nobody waits for is kept. */
enum frame_ring_status frame_ring_waker_create(frame_ring_handle* waker);
void frame_ring_waker_wake(frame_ring_handle waker);
void frame_ring_waker_drain(frame_ring_handle waker);
void frame_ring_waker_release(frame_ring_handle waker);

struct frame_ring_poll_entry {
	frame_ring_handle handle;
	/** There is something to receive or to accept, or the peer is gone. */
	bool is_ready;
};

/** Sleeps until an entry is ready or `until_us` is over (below zero: never): FRAME_RING_OK or
 * FRAME_RING_TIMEOUT. */
enum frame_ring_status frame_ring_poll(struct frame_ring_poll_entry* entries, size_t count, int64_t until_us);

/** Monotonic, in microseconds. */
int64_t frame_ring_now_us(void);

/** A number that no other process has. */
uint64_t frame_ring_random(void);

#ifdef __cplusplus
}
#endif
