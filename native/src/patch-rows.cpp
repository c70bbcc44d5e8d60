#include "patch-rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace allaprima {

namespace {

constexpr int SHARE_BITS = 22;
constexpr std::int32_t HALF = 1 << (SHARE_BITS - 1);
constexpr std::size_t CHANNELS = 3;

std::uint8_t rounded(std::int32_t sum) {
	return static_cast<std::uint8_t>(std::clamp(sum >> SHARE_BITS, 0, 255));
}

}

void PatchRows::Triangles::lay(int source, int target) {
	const double scale = static_cast<double>(source) / target;
	// Where it shrinks the triangle is as much wider, so that no pixel is left out.
	const double support = std::max(scale, 1.0);
	taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
	first.resize(static_cast<std::size_t>(target));
	count.resize(first.size());
	share.assign(first.size() * taps, 0);
	std::vector<double> weights(taps);
	for (std::size_t i = 0; i < first.size(); ++i) {
		const double center = (static_cast<double>(i) + 0.5) * scale;
		const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
		const int end = std::min(static_cast<int>(center + support + 0.5), source);
		first[i] = static_cast<std::size_t>(begin);
		count[i] = static_cast<std::size_t>(end - begin);
		double sum = 0;
		for (std::size_t tap = 0; tap < count[i]; ++tap) {
			const double away = std::abs((static_cast<double>(tap) + begin - center + 0.5) / support);
			weights[tap] = std::max(1 - away, 0.0);
			sum += weights[tap];
		}
		for (std::size_t tap = 0; tap < count[i]; ++tap) {
			share[i * taps + tap] = static_cast<std::int32_t>(0.5 + weights[tap] / sum * (1 << SHARE_BITS));
		}
	}
}

/** Columns first, and bytes between the two, as Pillow does: the sums are the same to the last bit. */
void PatchRows::operator()(const Picture& rgb, const PatchLayout& layout, std::span<float> target) {
	const auto width = static_cast<std::size_t>(layout.width),
			   height = static_cast<std::size_t>(layout.height);
	const auto sourceWidth = static_cast<std::size_t>(rgb.width),
			   sourceHeight = static_cast<std::size_t>(rgb.height);
	std::span<const std::uint8_t> pixels = rgb.data;

	if (sourceWidth != width) {
		columns_.lay(rgb.width, layout.width);
		narrow_.resize(width * sourceHeight * CHANNELS);
		std::uint8_t* to = narrow_.data();
		for (std::size_t y = 0; y < sourceHeight; ++y) {
			const auto row = pixels.subspan(y * sourceWidth * CHANNELS, sourceWidth * CHANNELS);
			for (std::size_t x = 0; x < width; ++x) {
				const std::uint8_t* from = &row[columns_.first[x] * CHANNELS];
				const std::int32_t* share = &columns_.share[x * columns_.taps];
				std::array<std::int32_t, CHANNELS> sum{HALF, HALF, HALF};
				for (std::size_t tap = 0; tap < columns_.count[x]; ++tap) {
					for (std::size_t c = 0; c < CHANNELS; ++c)
						sum[c] += from[tap * CHANNELS + c] * share[tap];
				}
				for (std::size_t c = 0; c < CHANNELS; ++c) *to++ = rounded(sum[c]);
			}
		}
		pixels = narrow_;
	}

	const std::size_t length = width * CHANNELS;
	if (sourceHeight != height) {
		rows_.lay(rgb.height, layout.height);
		small_.resize(length * height);
		std::vector<std::int32_t> sum(length);
		for (std::size_t y = 0; y < height; ++y) {
			std::ranges::fill(sum, HALF);
			for (std::size_t tap = 0; tap < rows_.count[y]; ++tap) {
				const auto row = pixels.subspan((rows_.first[y] + tap) * length, length);
				const std::int32_t share = rows_.share[y * rows_.taps + tap];
				for (std::size_t i = 0; i < length; ++i) sum[i] += row[i] * share;
			}
			std::ranges::transform(sum, small_.begin() + static_cast<std::ptrdiff_t>(y * length), rounded);
		}
		pixels = small_;
	}

	std::array<float, 256> values{};
	for (std::size_t i = 0; i < values.size(); ++i) {
		values[i] = static_cast<float>((static_cast<double>(i) / 255 - 0.5) / 0.5);
	}
	const auto patch = static_cast<std::size_t>(layout.patch), merge = static_cast<std::size_t>(layout.merge);
	const auto frames = static_cast<std::size_t>(layout.frames), area = patch * patch;
	float* row = target.data();
	for (std::size_t top = 0; top < height; top += patch * merge) {
		for (std::size_t left = 0; left < width; left += patch * merge) {
			for (std::size_t part = 0; part < merge * merge; ++part) {
				const std::size_t y = top + part / merge * patch, x = left + part % merge * patch;
				for (std::size_t c = 0; c < CHANNELS; ++c) {
					float* const first = row + c * frames * area;
					for (std::size_t i = 0; i < area; ++i) {
						first[i] = values[pixels[(y + i / patch) * length + (x + i % patch) * CHANNELS + c]];
					}
					for (std::size_t frame = 1; frame < frames; ++frame)
						std::copy_n(first, area, first + frame * area);
				}
				row += layout.columns();
			}
		}
	}
}

}
