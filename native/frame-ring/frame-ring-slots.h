// SPDX-License-Identifier: MIT
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "frame-ring.h"

// The memory of a ring: what lies where, and how a picture gets in and out. Knows no system.

#ifdef __cplusplus
#include <atomic>
typedef std::atomic<uint64_t> frame_ring_word;
extern "C" {
#else
#include <stdatomic.h>
#include <stdbool.h>
typedef _Atomic uint64_t frame_ring_word;
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would be of one process alone");
#endif

/** "APframes" as it lies in memory. */
#define FRAME_RING_MAGIC UINT64_C(0x73656D6172665041)

#define FRAME_RING_CACHE_LINE 64

enum frame_ring_state { FRAME_RING_STATE_OPEN = 1, FRAME_RING_STATE_ENDED = 2 };

/** Where everything is. Written before a reader is told of the memory, and always the same. */
struct frame_ring_geometry {
	uint64_t magic;
	uint32_t abi_version;
	/** From the start of the memory to slot 0. */
	uint32_t header_bytes;
	uint32_t slot_count;
	/** From the start of a slot to its payload. */
	uint32_t slot_header_bytes;
	/** From slot to slot. */
	uint64_t slot_stride_bytes;
	uint64_t payload_bytes_max;
	uint64_t writer_generation;
	uint64_t reserved[2];
};

/** The first bytes of the memory. */
struct frame_ring_header {
	struct frame_ring_geometry geometry;
	/** The serial of the newest picture, which counts from 1; it lies in slot `serial % slot_count`. */
	frame_ring_word latest;
	uint64_t latest_line[7];
	/** An enum frame_ring_state. */
	frame_ring_word state;
	uint64_t state_line[7];
};

/** The first bytes of a slot. The payload begins `slot_header_bytes` from its start. */
struct frame_ring_slot {
	/** A seqlock: 2 · serial - 1 while that picture is written, 2 · serial when it is whole. */
	frame_ring_word lock;
	uint64_t lock_line[7];
	struct frame_ring_frame frame;
	uint64_t frame_line[4];
};

static_assert(sizeof(frame_ring_word) == 8, "a word is what a 64-bit store writes");
static_assert(sizeof(struct frame_ring_geometry) == FRAME_RING_CACHE_LINE, "ABI 1");
static_assert(offsetof(struct frame_ring_geometry, abi_version) == 8, "ABI 1, and of every other");
static_assert(offsetof(struct frame_ring_geometry, slot_count) == 16, "ABI 1");
static_assert(offsetof(struct frame_ring_geometry, slot_stride_bytes) == 24, "ABI 1");
static_assert(offsetof(struct frame_ring_geometry, payload_bytes_max) == 32, "ABI 1");
static_assert(offsetof(struct frame_ring_geometry, writer_generation) == 40, "ABI 1");
static_assert(offsetof(struct frame_ring_header, latest) == 64, "ABI 1");
static_assert(offsetof(struct frame_ring_header, state) == 128, "ABI 1");
static_assert(sizeof(struct frame_ring_header) == 192, "ABI 1");
static_assert(sizeof(struct frame_ring_plane) == 8, "ABI 1");
static_assert(sizeof(struct frame_ring_frame) == 96, "ABI 1");
static_assert(offsetof(struct frame_ring_frame, payload_bytes) == 32, "ABI 1");
static_assert(offsetof(struct frame_ring_frame, format) == 40, "ABI 1");
static_assert(offsetof(struct frame_ring_frame, flags) == 60, "ABI 1");
static_assert(offsetof(struct frame_ring_frame, planes) == 64, "ABI 1");
static_assert(offsetof(struct frame_ring_slot, frame) == 64, "ABI 1");
static_assert(sizeof(struct frame_ring_slot) == 192, "ABI 1");

/** A ring in memory, with a private copy of its geometry: the one in the memory is looked at once. */
struct frame_ring_slots {
	unsigned char* base;
	struct frame_ring_geometry geometry;
};

/** The bytes that a ring takes, or 0 where the arguments are outside of what frame-ring.h allows. */
uint64_t frame_ring_slots_bytes(uint32_t slot_count, uint64_t payload_bytes_max);

/** Lays a ring out in zeroed memory of frame_ring_slots_bytes bytes. */
void frame_ring_slots_format(
	struct frame_ring_slots* slots,
	void* base,
	uint32_t slot_count,
	uint64_t payload_bytes_max,
	uint64_t generation
);

/** Writes the geometry again, for a reader that comes: something may have written over it. */
void frame_ring_slots_restate(const struct frame_ring_slots* slots);

/** Checks the geometry of somebody else's ring: FRAME_RING_BAD_HEADER or FRAME_RING_OTHER_VERSION. */
enum frame_ring_status
frame_ring_slots_open(struct frame_ring_slots* slots, void* base, uint64_t memory_bytes);

struct frame_ring_slot* frame_ring_slots_at(const struct frame_ring_slots* slots, uint64_t serial);

/** The writer's three steps, with its own count of pictures: never with what the memory says. */
void frame_ring_slots_begin(const struct frame_ring_slots* slots, uint64_t serial);
void frame_ring_slots_put(
	const struct frame_ring_slots* slots,
	uint64_t serial,
	uint64_t offset_bytes,
	const void* data,
	size_t bytes
);
void frame_ring_slots_commit(
	const struct frame_ring_slots* slots, uint64_t serial, const struct frame_ring_frame* frame
);

uint64_t frame_ring_slots_latest(const struct frame_ring_slots* slots);
uint64_t frame_ring_slots_state(const struct frame_ring_slots* slots);
void frame_ring_slots_end(const struct frame_ring_slots* slots);

/** How far a reader is, in serials. */
struct frame_ring_cursor {
	/** The newest picture that was looked at: a slot of nonsense is looked at once. */
	uint64_t seen;
	/** The newest picture that was given out. */
	uint64_t given;
};

/** A cursor before the newest picture. */
struct frame_ring_cursor frame_ring_slots_cursor(const struct frame_ring_slots* slots);

/**
 * Reads the newest picture if it is another than the cursor's, which moves there unless FRAME_RING_TOO_SMALL.
 * A count that goes back is the writer's own again, after something wrote over it.
 */
enum frame_ring_status frame_ring_slots_read_newest(
	const struct frame_ring_slots* slots,
	struct frame_ring_cursor* cursor,
	void* target,
	size_t capacity_bytes,
	struct frame_ring_taken* taken
);

enum frame_ring_status frame_ring_slots_read(
	const struct frame_ring_slots* slots,
	uint32_t slot,
	uint64_t sequence,
	void* target,
	size_t capacity_bytes,
	struct frame_ring_taken* taken
);

/** Copies from shared memory, which somebody may be writing to. */
void frame_ring_load(void* target, const void* shared, size_t bytes);

#ifdef __cplusplus
}
#endif
