#pragma once

#include <cstdint>
#include <optional>

namespace allaprima::ndi {

enum class Policy { PASSTHROUGH, HOLD, SLATE };
enum class Shown { NOTHING, PAINTING, SOURCE, HOLD, SLATE, DIRECT };

/** What the output knows when a frame is to leave. */
struct Situation {
	Policy policy = Policy::PASSTHROUGH;
	bool isPanic = false;
	bool isDirect = false;
	/** Whether there is a painting of this frame or of one before it. */
	bool hasPainting = false;
	/** Whether something that was shown before can be shown again. */
	bool hasHeld = false;
	/** Since the painter handed its newest painting over. */
	std::optional<std::int64_t> paintedAgeUs;
	std::int64_t staleAfterUs = 0;
};

/** What is shown of a frame. Under `slate` and in panic never the source. */
constexpr Shown chooseShown(const Situation& now) {
	if (now.isPanic) return Shown::SLATE;
	if (now.isDirect) return now.policy == Policy::SLATE ? Shown::SLATE : Shown::DIRECT;
	if (now.hasPainting && now.paintedAgeUs && *now.paintedAgeUs <= now.staleAfterUs) return Shown::PAINTING;
	switch (now.policy) {
	case Policy::PASSTHROUGH:
		return Shown::SOURCE;
	case Policy::HOLD:
		return now.hasHeld ? Shown::HOLD : Shown::SLATE;
	case Policy::SLATE:
		break;
	}
	return Shown::SLATE;
}

/** What is shown while the source gives no frame at all; HOLD is the last thing shown. */
constexpr Shown chooseFill(const Situation& now, std::int64_t silentUs) {
	constexpr std::int64_t PASSTHROUGH_HOLDS_US = 5'000'000;
	if (now.isPanic || now.policy == Policy::SLATE || !now.hasHeld) return Shown::SLATE;
	if (now.policy == Policy::HOLD) return Shown::HOLD;
	return silentUs < PASSTHROUGH_HOLDS_US ? Shown::HOLD : Shown::SLATE;
}

}
