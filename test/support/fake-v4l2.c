/*
 * A Video4Linux driver for one process, as a library for LD_PRELOAD: where the kernel has no camera, the v4l2
 * demuxer and muxer of a real ffmpeg can still be run. It knows the calls that libavdevice makes and no
 * others.
 *
 * V4L2_DEVICE   path that is the device; whatever lies there is not opened
 * V4L2_OUTPUT   file that gets what is written; the device is then one for output, else a camera
 * V4L2_JPEG     picture that the camera gives as MJPEG
 * V4L2_FRAMES   frames before V4L2_END: "unplug" (default) or "stall"
 * V4L2_FAIL     "NAME ERRNO": open or one request that fails, such as "VIDIOC_S_FMT 16"
 *
 * A raw frame k, from 1 on, has the luma 16 + k % 200 all over and no colour.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 32, JPEG_BYTES_MAX = 1 << 20, FASTEST_FPS = 30 };

static const struct {
	__u32 pixel_format;
	const char* description;
	struct v4l2_frmsize_discrete sizes[4];
} FORMATS[] = {
	{V4L2_PIX_FMT_YUYV, "YUYV 4:2:2", {{640, 480}, {320, 240}, {1280, 720}}},
	{V4L2_PIX_FMT_MJPEG, "Motion-JPEG", {{1280, 720}, {640, 480}}},
};

static struct {
	int fd;
	struct v4l2_pix_format format;
	struct v4l2_fract interval;
	size_t buffer_bytes;
	unsigned queue[BUFFERS], queued, dequeued;
	long frame;
	struct timespec start;
} device = {
	.fd = -1,
	.format = {.width = 640, .height = 480, .pixelformat = V4L2_PIX_FMT_YUYV},
	.interval = {1, FASTEST_FPS}
};

static int failure(int code) {
	errno = code;
	return -1;
}

/* The error that was ordered for this call, or 0. */
static int ordered_failure(const char* name) {
	const char* order = getenv("V4L2_FAIL");
	size_t length = strlen(name);
	return order && !strncmp(order, name, length) && order[length] == ' ' ? atoi(order + length) : 0;
}

static int open_device(void) {
	int code = ordered_failure("open");
	if (code) return failure(code);
	const char* output = getenv("V4L2_OUTPUT");
	int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
	return device.fd = output ? next(output, O_WRONLY | O_CREAT | O_TRUNC, 0644) : memfd_create("camera", 0);
}

static int open_as(const char* name, const char* path, int flags, int mode) {
	const char* own = getenv("V4L2_DEVICE");
	if (own && !strcmp(path, own)) return open_device();
	return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

#define MODE_AFTER(flags)                                                                                    \
	va_list arguments;                                                                                       \
	va_start(arguments, flags);                                                                              \
	int mode = (flags) & O_CREAT ? va_arg(arguments, int) : 0;                                               \
	va_end(arguments)

int open(const char* path, int flags, ...) {
	MODE_AFTER(flags);
	return open_as("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
	MODE_AFTER(flags);
	return open_as("open64", path, flags, mode);
}

/* What open becomes in a hardened build. */
int __open64_2(const char* path, int flags) {
	return open_as("open64", path, flags, 0);
}

static size_t frame_bytes(void) {
	return (size_t)device.format.width * device.format.height * 2;
}

static int give_formats(struct v4l2_fmtdesc* wanted) {
	if (wanted->index >= sizeof FORMATS / sizeof *FORMATS) return failure(EINVAL);
	wanted->pixelformat = FORMATS[wanted->index].pixel_format;
	wanted->flags = wanted->pixelformat == V4L2_PIX_FMT_MJPEG ? V4L2_FMT_FLAG_COMPRESSED : 0;
	strcpy((char*)wanted->description, FORMATS[wanted->index].description);
	return 0;
}

static int give_sizes(struct v4l2_frmsizeenum* wanted) {
	unsigned format = wanted->pixel_format == FORMATS[1].pixel_format;
	if (wanted->index >= 4 || !FORMATS[format].sizes[wanted->index].width) return failure(EINVAL);
	wanted->type = V4L2_FRMSIZE_TYPE_DISCRETE;
	wanted->discrete = FORMATS[format].sizes[wanted->index];
	return 0;
}

static int set_rate(struct v4l2_captureparm* capture) {
	device.interval = capture->timeperframe;
	if (device.interval.denominator > FASTEST_FPS * device.interval.numerator)
		device.interval = (struct v4l2_fract){1, FASTEST_FPS};
	capture->timeperframe = device.interval;
	return 0;
}

static int make_buffers(struct v4l2_requestbuffers* wanted) {
	if (wanted->count > BUFFERS) wanted->count = BUFFERS;
	size_t bytes = device.format.pixelformat == V4L2_PIX_FMT_MJPEG ? JPEG_BYTES_MAX : frame_bytes();
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	device.buffer_bytes = (bytes + page - 1) / page * page;
	return ftruncate(device.fd, (off_t)(wanted->count * device.buffer_bytes));
}

static size_t draw(unsigned char* pixels) {
	if (device.format.pixelformat == V4L2_PIX_FMT_MJPEG) {
		FILE* file = fopen(getenv("V4L2_JPEG"), "rb");
		if (!file) abort();
		size_t bytes = fread(pixels, 1, JPEG_BYTES_MAX, file);
		fclose(file);
		return bytes;
	}
	for (size_t i = 0; i < frame_bytes(); i += 2) {
		pixels[i] = (unsigned char)(16 + device.frame % 200);
		pixels[i + 1] = 128;
	}
	return frame_bytes();
}

/* Waits for the next frame as a camera does, and stamps it as the kernel does, on CLOCK_MONOTONIC. */
static int give_frame(struct v4l2_buffer* buffer) {
	const char *frames = getenv("V4L2_FRAMES"), *end = getenv("V4L2_END");
	if (frames && device.frame >= atol(frames)) {
		if (!end || strcmp(end, "stall")) return failure(ENODEV);
		for (;;) pause();
	}
	device.frame++;
	long long ns = device.start.tv_nsec +
		1000000000LL * device.frame * device.interval.numerator / device.interval.denominator;
	struct timespec due = {device.start.tv_sec + ns / 1000000000, ns % 1000000000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR);
	unsigned index = device.queue[device.dequeued++ % BUFFERS];
	off_t offset = (off_t)(index * device.buffer_bytes);
	unsigned char* pixels =
		mmap(NULL, device.buffer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, offset);
	if (pixels == MAP_FAILED) abort();
	buffer->bytesused = (__u32)draw(pixels);
	munmap(pixels, device.buffer_bytes);
	buffer->index = index;
	buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	buffer->timestamp.tv_sec = due.tv_sec;
	buffer->timestamp.tv_usec = due.tv_nsec / 1000;
	return 0;
}

#define REQUEST(name)                                                                                        \
	case name:                                                                                               \
		if ((code = ordered_failure(#name))) return failure(code);

int ioctl(int fd, unsigned long request, ...) {
	va_list arguments;
	va_start(arguments, request);
	void* argument = va_arg(arguments, void*);
	va_end(arguments);
	if (fd < 0 || fd != device.fd)
		return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(fd, request, argument);
	bool is_output = getenv("V4L2_OUTPUT") != NULL;
	struct v4l2_format* format = argument;
	struct v4l2_buffer* buffer = argument;
	struct v4l2_streamparm* parameters = argument;
	int code;
	switch ((unsigned)request) {
		REQUEST(VIDIOC_QUERYCAP) {
			struct v4l2_capability* can = argument;
			can->capabilities =
				V4L2_CAP_STREAMING | (is_output ? V4L2_CAP_VIDEO_OUTPUT : V4L2_CAP_VIDEO_CAPTURE);
			return 0;
		}
		REQUEST(VIDIOC_G_INPUT) return *(int*)argument = 0;
		REQUEST(VIDIOC_ENUMINPUT) return 0;
		REQUEST(VIDIOC_ENUM_FMT) return give_formats(argument);
		REQUEST(VIDIOC_ENUM_FRAMESIZES) return give_sizes(argument);
		REQUEST(VIDIOC_G_FMT) {
			if ((format->type == V4L2_BUF_TYPE_VIDEO_OUTPUT) != is_output) return failure(EINVAL);
			format->fmt.pix = device.format;
			return 0;
		}
		REQUEST(VIDIOC_S_FMT) {
			device.format = format->fmt.pix;
			return 0;
		}
		REQUEST(VIDIOC_G_PARM) {
			parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
			parameters->parm.capture.timeperframe = device.interval;
			return 0;
		}
		REQUEST(VIDIOC_S_PARM) return set_rate(&parameters->parm.capture);
		REQUEST(VIDIOC_REQBUFS) return make_buffers(argument);
		REQUEST(VIDIOC_QUERYBUF) {
			buffer->length =
				(__u32)(device.format.pixelformat == V4L2_PIX_FMT_MJPEG ? JPEG_BYTES_MAX : frame_bytes());
			buffer->m.offset = (__u32)(buffer->index * device.buffer_bytes);
			return 0;
		}
		REQUEST(VIDIOC_QBUF) {
			device.queue[device.queued++ % BUFFERS] = buffer->index;
			return 0;
		}
		REQUEST(VIDIOC_STREAMON) return clock_gettime(CLOCK_MONOTONIC, &device.start);
		REQUEST(VIDIOC_STREAMOFF) return 0;
		REQUEST(VIDIOC_DQBUF) return give_frame(buffer);
	default:
		return failure(ENOTTY);
	}
}
