// SPDX-License-Identifier: MIT
#pragma once

#include <stddef.h>
#include <stdint.h>

// Pictures from one writer to several readers, of this or of other processes: slots of shared memory, and a
// socket for each reader that wakes it. Newest wins: a reader always takes the newest whole picture, the
// writer never waits for anyone. What the other side wrote is never believed: the memory cannot be made
// smaller under a reader, its geometry is checked once and kept in private memory, every picture is checked
// each time it is read, and what was written over meanwhile is no picture. Plain C11; the operating system is
// behind frame-ring/frame-ring-platform.h.

#ifdef __cplusplus
extern "C" {
#endif

/** The layout of the memory and of the messages. Another number is another language: there is no guessing. */
#define FRAME_RING_ABI_VERSION 1U

/**
 * Of four slots one holds the newest picture, one is written, and two are left for readers that are slow:
 * they have two periods of the source to copy a picture out.
 */
#define FRAME_RING_SLOTS_MIN 4U
#define FRAME_RING_SLOTS_MAX 64U

#define FRAME_RING_READERS_MAX 16U
#define FRAME_RING_PLANES_MAX 3U

/** The longest side of a picture, in pixels. */
#define FRAME_RING_SIDE_MAX 16384U

/** The most a slot may hold, in bytes: four planes of the longest sides, with room for strides. */
#define FRAME_RING_PAYLOAD_BYTES_MAX UINT64_C(0x80000000)

/** No sequence and no time is larger, so that each fits into a JavaScript number: 2^53 - 1. */
#define FRAME_RING_NUMBER_MAX INT64_C(0x1FFFFFFFFFFFFF)

/** What the system hands around: a file descriptor on Unix, a HANDLE on Windows. */
typedef intptr_t frame_ring_handle;

#define FRAME_RING_FOURCC(a, b, c, d)                                                                        \
	((uint32_t)(a) | ((uint32_t)(b) << 8) | ((uint32_t)(c) << 16) | ((uint32_t)(d) << 24))

/** Formats, by the names of WebCodecs; what their bytes are says sidecar/frame/frame.ts. */
#define FRAME_RING_RGB FRAME_RING_FOURCC('R', 'G', 'B', '3')
#define FRAME_RING_BGRA FRAME_RING_FOURCC('B', 'G', 'R', 'A')
#define FRAME_RING_RGBA FRAME_RING_FOURCC('R', 'G', 'B', 'A')
#define FRAME_RING_NV12 FRAME_RING_FOURCC('N', 'V', '1', '2')
#define FRAME_RING_I420 FRAME_RING_FOURCC('I', '4', '2', '0')
#define FRAME_RING_UYVY FRAME_RING_FOURCC('U', 'Y', 'V', 'Y')

enum frame_ring_matrix { FRAME_RING_BT601 = 1, FRAME_RING_BT709 = 2 };
enum frame_ring_range { FRAME_RING_LIMITED = 1, FRAME_RING_FULL_RANGE = 2 };

/** Flags of a picture. A reader ignores those that it does not know. */
enum frame_ring_flag {
	/** Its time does not follow from that of the picture before: the source was changed, or began anew. */
	FRAME_RING_DISCONTINUITY = 1,
	/** Its colours are multiplied by its alpha. */
	FRAME_RING_PREMULTIPLIED = 2,
};

enum frame_ring_status {
	FRAME_RING_OK = 0,
	/** There is no picture newer than the last one read, or the one asked for has been written over. */
	FRAME_RING_NO_FRAME,
	/** The time given is over. */
	FRAME_RING_TIMEOUT,
	/** Another thread called the object's `interrupt`. */
	FRAME_RING_INTERRUPTED,
	/** The writer closed the ring. */
	FRAME_RING_ENDED,
	/** The other side died, or hung up without a word. */
	FRAME_RING_PEER_GONE,
	/** The other side speaks another FRAME_RING_ABI_VERSION. */
	FRAME_RING_OTHER_VERSION,
	/** The other side is no frame ring, or its memory is none. */
	FRAME_RING_BAD_HEADER,
	/** The memory of the other side could be made smaller under the reader, which would kill it. */
	FRAME_RING_NOT_SEALED,
	/** The description of a picture contradicts itself, or does not fit into a slot. */
	FRAME_RING_BAD_FRAME,
	/** The memory for the picture is too small; `payload_bytes` says what it takes. */
	FRAME_RING_TOO_SMALL,
	/** The writer has FRAME_RING_READERS_MAX readers. */
	FRAME_RING_TOO_MANY_READERS,
	/** Nobody listens at the path. */
	FRAME_RING_NOBODY_THERE,
	/** Another process listens at the path. */
	FRAME_RING_PATH_IN_USE,
	/** An argument is outside of what this header allows, or a call comes out of turn. */
	FRAME_RING_BAD_ARGUMENT,
	/** A call to the system failed; `errno` says why. */
	FRAME_RING_SYSTEM,
};

/** The name of a status, such as "FRAME_RING_PEER_GONE". */
const char* frame_ring_status_name(enum frame_ring_status status);

struct frame_ring_plane {
	/** From the first byte of the payload. */
	uint32_t offset_bytes;
	/** From row to row. */
	uint32_t stride_bytes;
};

/** What is known about a picture. It lies in the slot as it is here. */
struct frame_ring_frame {
	/** Counts the pictures of the source; a gap is a drop. */
	uint64_t sequence;
	/** When it was captured, on the monotonic clock, in microseconds. */
	int64_t captured_us;
	/** When it is shown, in the source's own time, and for how long, in microseconds. */
	int64_t timestamp_us;
	int64_t duration_us;
	uint64_t payload_bytes;
	/** FRAME_RING_RGB and so on. */
	uint32_t format;
	uint32_t width;
	uint32_t height;
	/** An enum frame_ring_matrix and an enum frame_ring_range; they describe the YUV formats. */
	uint32_t matrix;
	uint32_t range;
	/** Of enum frame_ring_flag. */
	uint32_t flags;
	/** Zero beyond the planes that the format has. */
	struct frame_ring_plane planes[FRAME_RING_PLANES_MAX];
	uint32_t reserved[2];
};

/** A picture that was read. */
struct frame_ring_taken {
	/** Its planes and payload_bytes say how it lies in the caller's memory. */
	struct frame_ring_frame frame;
	uint32_t slot;
	/** Pictures published since the one that frame_ring_read_newest gave before, and never seen by it. */
	uint64_t missed;
};

/** Sets planes and payload_bytes for tight rows and planes, from format, width and height. */
enum frame_ring_status frame_ring_frame_pack(struct frame_ring_frame* frame);

/** FRAME_RING_BAD_FRAME unless the description is sound and fits into `payload_bytes_max` bytes. */
enum frame_ring_status
frame_ring_frame_check(const struct frame_ring_frame* frame, uint64_t payload_bytes_max);

/** Two connected ends, for frame_ring_writer_adopt and frame_ring_reader_adopt; one of them is for a child.
 */
enum frame_ring_status frame_ring_pair(frame_ring_handle ends[2]);

/**
 * Hands an end to a process that runs already, over a pair of the two. `end` stays open here, too.
 * FRAME_RING_NO_FRAME where so many wait there that one more has no room.
 */
enum frame_ring_status frame_ring_pass(frame_ring_handle channel, frame_ring_handle end);

/** What was passed first. FRAME_RING_NO_FRAME where nothing was, FRAME_RING_BAD_HEADER where it is no end. */
enum frame_ring_status frame_ring_take(frame_ring_handle channel, frame_ring_handle* end);

// The writer. `begin`, `put`, `commit` and `write` belong to one thread, `serve` to another. `listen`,
// `adopt`, `interrupt` and `reader_count` may be called by any; `close` when none of the others is running.

struct frame_ring_writer;

/** Takes memory for `slot_count` pictures of `payload_bytes_max` bytes, all of it at once. */
enum frame_ring_status
frame_ring_writer_create(uint32_t slot_count, uint64_t payload_bytes_max, struct frame_ring_writer** writer);

/**
 * Lets readers of this user connect at `path`, whose folder must exist. What a dead process left there is
 * replaced. Once for each writer.
 */
enum frame_ring_status frame_ring_writer_listen(struct frame_ring_writer* writer, const char* path);

/**
 * Serves the reader at the other end. The handle is the writer's from here, but for FRAME_RING_BAD_ARGUMENT:
 * then it is none that frame_ring_pair gave.
 */
enum frame_ring_status frame_ring_writer_adopt(struct frame_ring_writer* writer, frame_ring_handle end);

/**
 * Welcomes readers and sees them off, until `timeout_ms` is over (below zero: never) or the writer is
 * interrupted. Sleeps while there is nothing to do.
 */
enum frame_ring_status frame_ring_writer_serve(struct frame_ring_writer* writer, int timeout_ms);

/** Ends `serve`, the one under way and all later ones. */
void frame_ring_writer_interrupt(struct frame_ring_writer* writer);

uint32_t frame_ring_writer_reader_count(const struct frame_ring_writer* writer);

/** Opens the next slot, which is never that of the newest picture. What an earlier `begin` opened is dropped.
 */
void frame_ring_writer_begin(struct frame_ring_writer* writer);

/** Copies a part of the payload into the open slot. */
enum frame_ring_status frame_ring_writer_put(
	struct frame_ring_writer* writer, uint64_t offset_bytes, const void* data, size_t bytes
);

/** Publishes the open slot and wakes the readers. `slot` may be null. */
enum frame_ring_status frame_ring_writer_commit(
	struct frame_ring_writer* writer, const struct frame_ring_frame* frame, uint32_t* slot
);

/** The three in one: copies frame->payload_bytes from `data`. A bad frame leaves the ring as it was. */
enum frame_ring_status frame_ring_writer_write(
	struct frame_ring_writer* writer, const struct frame_ring_frame* frame, const void* data, uint32_t* slot
);

/** Tells the readers that there will be no more, and frees the writer. Null is fine. */
void frame_ring_writer_close(struct frame_ring_writer* writer);

// The reader. `open`, `wait` and `read_newest` belong to one thread; `read_slot` and `interrupt` may be
// called by any once the reader is open; `close` when none of the others is running.

struct frame_ring_reader;

/** Knocks at `path`. Does not wait: `open` does. */
enum frame_ring_status frame_ring_reader_connect(const char* path, struct frame_ring_reader** reader);

/** As `connect`, with an end of frame_ring_pair; whose it is then says frame_ring_writer_adopt. */
enum frame_ring_status frame_ring_reader_adopt(frame_ring_handle end, struct frame_ring_reader** reader);

/** Waits for the writer's welcome, and checks and maps its memory. */
enum frame_ring_status frame_ring_reader_open(struct frame_ring_reader* reader, int timeout_ms);

/** What the geometry of an open ring is: the bytes that a target needs at most, the slots, whose ring it is.
 */
uint64_t frame_ring_reader_payload_bytes_max(const struct frame_ring_reader* reader);
uint32_t frame_ring_reader_slot_count(const struct frame_ring_reader* reader);
/** Differs from writer to writer: a slot number of one says nothing in the ring of the next. */
uint64_t frame_ring_reader_generation(const struct frame_ring_reader* reader);

/**
 * Sleeps until there is a picture newer than the last one read. Says FRAME_RING_ENDED or FRAME_RING_PEER_GONE
 * at once when the writer is no more, but first lets the last picture be read.
 */
enum frame_ring_status frame_ring_reader_wait(struct frame_ring_reader* reader, int timeout_ms);

/** Ends `open` and `wait`, the one under way and all later ones. */
void frame_ring_reader_interrupt(struct frame_ring_reader* reader);

/**
 * Copies the newest picture to `target`, rows and planes tight, if it is newer than the last one that this
 * gave. Where the answer is not FRAME_RING_OK, `target` may hold a part of a picture.
 */
enum frame_ring_status frame_ring_read_newest(
	struct frame_ring_reader* reader, void* target, size_t capacity_bytes, struct frame_ring_taken* taken
);

/** Copies the picture `sequence` from `slot`, for who was told where it is. */
enum frame_ring_status frame_ring_read_slot(
	const struct frame_ring_reader* reader,
	uint32_t slot,
	uint64_t sequence,
	void* target,
	size_t capacity_bytes,
	struct frame_ring_taken* taken
);

/** Hangs up and frees the reader. Null is fine. */
void frame_ring_reader_close(struct frame_ring_reader* reader);

#ifdef __cplusplus
}
#endif
