#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace allaprima::ndi {

/** The last latencies, and their quantiles. */
class Latencies {
public:
	void add(std::int64_t us);
	void clear() { count_ = next_ = 0; }
	/** `share` of them are at most this long; nothing while there are none. */
	std::optional<std::int64_t> quantile(double share) const;
	std::size_t count() const { return count_; }

private:
	static constexpr std::size_t KEPT = 256;
	std::array<std::int64_t, KEPT> us_{};
	std::size_t count_ = 0, next_ = 0;
};

/**
 * From a frame's arrival to its leaving. Fixed, or as long as 95 of 100 paintings need, in whole frames:
 * raised at once, lowered a frame a second after 5 s in which less would have done. It shrinks gradually, so
 * that frames leave a little faster and none at once; in direct mode to nothing. Pure: time comes as an
 * argument.
 */
class Delay {
public:
	static constexpr std::int64_t MOST_US = 1'000'000, LOWER_AFTER_US = 5'000'000, LOWER_EVERY_US = 1'000'000;

	/** Nothing: measured. */
	explicit Delay(std::optional<std::int64_t> fixedUs) : fixedUs_(fixedUs) {}

	void addLatency(std::int64_t us, std::int64_t now, std::int64_t periodUs);
	void setDirect(bool isDirect) { isDirect_ = isDirect; }
	/** No longer than there is memory for. */
	void setMost(std::int64_t us) { mostUs_ = us; }

	/** The delay at a time; times never fall. */
	std::int64_t at(std::int64_t now);

private:
	std::int64_t wanted() const;

	std::optional<std::int64_t> fixedUs_;
	bool isDirect_ = false;
	std::int64_t mostUs_ = MOST_US;
	Latencies recent_;
	std::int64_t measuredUs_ = 0, enoughSinceUs_ = 0;
	double currentUs_ = 0;
	std::int64_t lastUs_ = -1;
};

}
