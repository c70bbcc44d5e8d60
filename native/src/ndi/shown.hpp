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
	/** Since what is held was first shown. */
	std::optional<std::int64_t> heldAgeUs = std::nullopt;
	/** How long `hold` keeps it; nothing: for ever. */
	std::optional<std::int64_t> holdUs = std::nullopt;
	/** What is shown then: the slate or the source. */
	Policy afterHold = Policy::SLATE;
	/** Whether what left last was the source's own. */
	bool isSourceLast = false;
};

/** Whether `hold` has kept what it holds for as long as it may. */
constexpr bool isHoldOver(const Situation& now) {
	return now.holdUs && !(now.heldAgeUs && *now.heldAgeUs < *now.holdUs);
}

/** What is shown of a frame. Under `slate` and in panic never the source. */
constexpr Shown chooseShown(const Situation& now) {
	if (now.isPanic) return Shown::SLATE;
	if (now.isDirect) return now.policy == Policy::SLATE ? Shown::SLATE : Shown::DIRECT;
	if (now.hasPainting && now.paintedAgeUs && *now.paintedAgeUs <= now.staleAfterUs) return Shown::PAINTING;
	switch (now.policy) {
	case Policy::PASSTHROUGH:
		return Shown::SOURCE;
	case Policy::HOLD:
		if (!now.hasHeld) return Shown::SLATE;
		if (!isHoldOver(now)) return Shown::HOLD;
		return now.afterHold == Policy::PASSTHROUGH ? Shown::SOURCE : Shown::SLATE;
	case Policy::SLATE:
		break;
	}
	return Shown::SLATE;
}

/** What is shown while the source gives no frame at all; HOLD is the last thing shown. */
constexpr Shown chooseFill(const Situation& now, std::int64_t silentUs) {
	constexpr std::int64_t PASSTHROUGH_HOLDS_US = 5'000'000;
	if (now.isPanic || now.policy == Policy::SLATE || !now.hasHeld) return Shown::SLATE;
	if (now.policy == Policy::HOLD) {
		if (!isHoldOver(now)) return Shown::HOLD;
		// There is no new source to show, and a painting is not to stay.
		if (now.afterHold != Policy::PASSTHROUGH || !now.isSourceLast) return Shown::SLATE;
	}
	return silentUs < PASSTHROUGH_HOLDS_US ? Shown::HOLD : Shown::SLATE;
}

}
