"""What training never sees. Whole clips, never single frames: two people, a car park, four photographs."""

CLIPS = frozenset({"book", "learn", "school", "walk", "hungry", "want", "car-detection"})
PHOTOS = frozenset({"kodim07", "kodim15", "kodim19", "kodim23"})
