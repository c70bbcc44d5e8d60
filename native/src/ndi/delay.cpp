#include "delay.hpp"

#include <algorithm>

namespace allaprima::ndi {

namespace {

constexpr std::size_t LATENCIES_LEAST = 4;
/** Of the time that passes, how much the delay may shrink. */
constexpr double SHRINK = 0.1, SHRINK_DIRECT = 0.5;

}

void Latencies::add(std::int64_t us) {
	us_[next_] = us;
	next_ = (next_ + 1) % KEPT;
	count_ = std::min(count_ + 1, KEPT);
}

std::optional<std::int64_t> Latencies::quantile(double share) const {
	if (count_ == 0) return std::nullopt;
	auto sorted = us_;
	const auto index = static_cast<std::size_t>(share * static_cast<double>(count_ - 1) + 0.5);
	const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(count_);
	const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(index);
	std::nth_element(sorted.begin(), place, end);
	return *place;
}

void Delay::addLatency(std::int64_t us, std::int64_t now, std::int64_t periodUs) {
	recent_.add(us);
	if (recent_.count() < LATENCIES_LEAST) return;
	const std::int64_t needed = std::min(*recent_.quantile(0.95), MOST_US);
	const std::int64_t frames = (needed + periodUs - 1) / periodUs;
	const std::int64_t target = std::min(frames * periodUs, MOST_US);
	if (target >= measuredUs_) {
		measuredUs_ = target;
		enoughSinceUs_ = now;
	} else if (now - enoughSinceUs_ >= LOWER_AFTER_US) {
		measuredUs_ = std::max(target, measuredUs_ - periodUs);
		enoughSinceUs_ = now - LOWER_AFTER_US + LOWER_EVERY_US;
	}
}

std::int64_t Delay::wanted() const {
	if (isDirect_) return 0;
	return std::min({fixedUs_.value_or(measuredUs_), mostUs_, MOST_US});
}

std::int64_t Delay::at(std::int64_t now) {
	const auto target = static_cast<double>(wanted());
	const auto passed = static_cast<double>(lastUs_ < 0 ? 0 : std::max<std::int64_t>(now - lastUs_, 0));
	lastUs_ = std::max(now, lastUs_);
	currentUs_ = std::max(target, currentUs_ - passed * (isDirect_ ? SHRINK_DIRECT : SHRINK));
	return static_cast<std::int64_t>(currentUs_);
}

}
