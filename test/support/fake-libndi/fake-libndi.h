#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What a test tells the fake runtime to do and asks it about; found by dlsym, as the functions of NDI are.
 * There is one source and one sender, whatever they are called. Everything may be called from any thread.
 */

/* As NDIlib_video_frame_v2_t. `data` is allocated with malloc, or null; the fake frees it when it is given
 * back. */
struct fake_video {
	int32_t width, height;
	uint32_t fourcc;
	int32_t rate_num, rate_den;
	float aspect;
	int32_t format;
	int64_t timecode;
	uint8_t* data;
	int32_t stride_bytes;
	const char* metadata;
	int64_t timestamp;
};

/* A frame that was sent. */
struct fake_sent {
	int32_t width, height, rate_num, rate_den, format;
	uint32_t fourcc;
	int64_t timecode;
	/* Luma in the middle, and alpha there; -1 without alpha. */
	int32_t luma, alpha;
	bool has_metadata;
	int64_t at_us;
};

struct fake_counts {
	int receivers, senders, finders; /* alive */
	int receivers_made, connects;
	int frames_out; /* captured and not given back */
	int broken_frames; /* changed or freed while the sender owned them */
	int sounds_sent, notes_sent, notes_up;
	int failovers_set, failovers_cleared;
	bool has_failover;
	bool on_program; /* what the source was told */
	bool is_initialized;
};

struct fake_controls {
	/* Everything as it was at first, but for what is alive. */
	void (*reset)(void);
	void (*push_video)(const struct fake_video* frame);
	void (*push_sound)(int64_t timecode, int32_t samples);
	void (*push_note)(const char* text);
	void (*push_note_up)(const char* text);
	void (*set_viewers)(int connections, bool on_program);
	/* Captures do not come back until this is false. */
	void (*set_hanging)(bool hangs);
	/* Captures come back at once, with an error. */
	void (*set_failing)(bool fails);
	int (*sent_count)(void);
	bool (*sent)(int index, struct fake_sent* frame);
	int64_t (*sound_sent_us)(int64_t timecode);
	bool (*note_sent)(const char* text);
	void (*counts)(struct fake_counts* counts);
};

/* The one symbol that is not NDI's. */
typedef const struct fake_controls* (*fake_controls_function)(void);
