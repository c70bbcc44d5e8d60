"""Pictures and sentences that training never saw, for judging a model through the product: scripts/evaluate calls this.

    python3 -m training.footage --data CLIPS --data PHOTOS --noise NOISE.f32 --out FOLDER [--size 512x288]

Writes FOLDER/index.json (names and sentences), RGB frames without any header (clips/NAME.rgb, looks/NAME.rgb, stills.rgb), and
what each teacher paints of the stills with the given noise (teacher/STYLE.rgb). Held out are the clips and photographs that
held_out.py names; without data, or where none of them is in it, drawn scenes of seeds of their own take their place.
"""

import argparse
import json
import multiprocessing
from pathlib import Path

import cv2
import numpy as np

from training import data, held_out, prompts, scenes
from training.teachers import NOISE_CHANNELS, PAINTERS
from training.train import modify

SIZE = (data.HEIGHT, data.WIDTH)
PAN = (2.7, 1.3)  # Pixels a frame.
SCENE_SEED = 900_000  # training.data draws from seed 1 on, its held-out scenes from 500,001.
# Styles that no sentence of the grammar names.
UNKNOWN = [
    "transfer this to pixel art style", "make this a mosaic", "cubism", "turn this into an embroidered tapestry", "paint this as a tattoo",
    "steampunk", "make it look like a neon sign", "bauhaus", "a gothic cathedral window", "in the style of frida kahlo",
]


def pan(picture, count, rng):
    """A camera that moves steadily over a picture, with a little sensor noise."""
    picture = data.cover(picture, (SIZE[0] + 36, SIZE[1] + 64))
    frames = []
    for t in range(count):
        matrix = np.float32([[1, 0, 4 + PAN[0] * t], [0, 1, 4 + PAN[1] * t]])
        view = cv2.warpAffine(picture, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)
        frames.append(np.clip(view + rng.normal(0, 1.5, view.shape), 0, 255).astype(np.uint8))
    return frames


def darken(frames, rng):
    """A camera in the dark: a fifth of the light, and the grain that comes of it."""
    dim = [0.22 * frame.astype(np.float32) for frame in frames]
    return [np.clip(d + rng.normal(0, 1, d.shape) * np.sqrt(d + 2) * 0.9, 0, 255).astype(np.uint8) for d in dim]


def page(rng):
    """A slide with words of several sizes on it."""
    image = np.full((*SIZE, 3), (244, 241, 232), np.uint8)
    cv2.rectangle(image, (0, 0), (SIZE[1], 62), (36, 72, 128), -1)
    cv2.putText(image, "Quarterly report", (20, 42), cv2.FONT_HERSHEY_DUPLEX, 1.1, (250, 250, 250), 2, cv2.LINE_AA)
    for i, scale in enumerate((0.9, 0.75, 0.6, 0.5, 0.4)):
        words = " ".join(rng.choice(scenes.WORDS, 5))
        cv2.putText(image, words, (24, 108 + 40 * i), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 48), 2 if scale > 0.6 else 1, cv2.LINE_AA)
    for i, colour in enumerate(((200, 60, 50), (60, 150, 80), (230, 170, 40))):
        cv2.rectangle(image, (380 + 40 * i, 270 - 50 - 30 * i), (408 + 40 * i, 270), colour, -1)
    return image


def liveliest(frames, count):
    """Where `count` frames in a row move most."""
    small = [cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32) for frame in frames]
    change = np.array([np.abs(b - a).mean() for a, b in zip(small, small[1:])])
    start = int(np.argmax(np.convolve(change, np.ones(count - 1), "valid"))) if len(frames) > count else 0
    return frames[start : start + count]


class Footage:
    """The held-out files that there are, or drawn scenes."""

    def __init__(self, folders):
        clips, photos = data.files(folders) if folders else ([], [])
        self.clips = [p for p in clips if p.stem in held_out.CLIPS]
        self.photos = [p for p in photos if p.stem in held_out.PHOTOS]

    def clip(self, path):
        return [data.cover(frame) for frame in data.read_clip(path, range(400))]

    def photo(self, path):
        return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)

    def scene(self, i):
        return scenes.draw(np.random.default_rng(SCENE_SEED + i))

    def stills(self, count):
        """name -> one frame."""
        shots = {p.stem: (lambda frames: frames[len(frames) // 2])(self.clip(p)) for p in self.clips}
        shots.update({p.stem: data.cover(self.photo(p)) for p in self.photos})
        for i in range(max(3, count - len(shots))):
            shots[f"drawn-{i}"] = self.scene(i)
        # A few of each kind, however few are wanted.
        order = np.random.default_rng(5).permutation(len(shots))[:count]
        return {name: shots[name] for i, name in enumerate(shots) if i in order}

    def moving(self, count, length):
        """name -> frames: clips where they move most, then cameras over photographs or drawn scenes."""
        rng = np.random.default_rng(6)
        shots = {p.stem: liveliest(self.clip(p), length) for p in spread(self.clips, max(1, count - 2))}
        stages = {f"pan-{p.stem}": self.photo(p) for p in self.photos} or {f"pan-drawn-{i}": self.scene(i) for i in range(count)}
        for name in list(stages)[: count - len(shots)]:
            shots[name] = pan(stages[name], length, rng)
        return shots

    def looks(self, length):
        """name -> frames, for the eye: what is hard, each in its own way."""
        rng = np.random.default_rng(7)
        clips, photos = {p.stem: p for p in self.clips}, {p.stem: p for p in self.photos}
        shots = {"text": pan(page(rng), length, rng)}
        if {"school", "want", "learn", "walk", "car-detection"} <= set(clips):
            shots["still"] = self.clip(clips["school"])[:length]
            shots["fast"] = liveliest(self.clip(clips["want"]), length)
            shots["cars"] = liveliest(self.clip(clips["car-detection"]), length)
            shots["dark"] = darken(liveliest(self.clip(clips["walk"]), length), rng)
            shots["face"] = [data.cover(f, zoom=3.0, at=(0.2, 0.48)) for f in data.read_clip(clips["learn"], range(length))]
        for name in photos:
            shots[f"slow-{name}"] = pan(self.photo(photos[name]), length, rng)
        for i in range(max(0, 2 - len(shots) + 1)):
            shots[f"slow-drawn-{i}"] = pan(self.scene(i), length, rng)
        return shots


def spread(items, count):
    """`count` of a list, evenly."""
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]


def kin_phrases(style):
    """The sentences of a style that name one of its kin."""
    nouns = {f"{verb} {noun}".strip() for verb in prompts.VERBS for noun in prompts.NOUNS[style]}
    return {p for p in prompts.phrases(style) if p not in nouns and p.split(",")[0] not in nouns and p != prompts.PRESETS[style]}


def sentences(style, count):
    """What is said of one style; all but `preset`, `plain` and `modified` were held out of training."""
    held, kin = prompts.split(style)[1], kin_phrases(style)
    plain = f"transfer this to {prompts.NOUNS[style][0]}"
    with_words = lambda held: {name: [f"{plain}, {words}" for words in prompts.modifier_words(name, held)[:2]] for name in prompts.MODIFIERS}
    return {
        "preset": prompts.PRESETS[style], "plain": plain,
        "modified": with_words(False), "modified_otherwise": with_words(True),
        "paraphrases": spread([p for p in held if p not in kin and p != plain], count), "kin": spread([p for p in held if p in kin], 4),
    }


def _paint(task):
    style, picture, noise = task
    cv2.setNumThreads(1)
    return modify(PAINTERS[style](picture, noise, 1.0), prompts.PRESET_MODIFIERS.get(style, ()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--noise", required=True, help="float32 [channels, height / 4, width / 4]: the noise that the product paints the stills with")
    parser.add_argument("--size", default=f"{SIZE[1]}x{SIZE[0]}", help="of the frames")
    parser.add_argument("--out", required=True)
    parser.add_argument("--stills", type=int, default=14)
    parser.add_argument("--clips", type=int, default=9)
    parser.add_argument("--frames", type=int, default=18, help="of each clip")
    parser.add_argument("--sentences", type=int, default=24, help="paraphrases of each style")
    args = parser.parse_args()
    out, footage = Path(args.out), Footage(args.data)
    for folder in ("clips", "looks", "teacher"):
        (out / folder).mkdir(parents=True, exist_ok=True)

    width, height = (int(side) for side in args.size.split("x"))
    sized = lambda frame: frame if frame.shape[:2] == (height, width) else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    stills = {name: sized(still) for name, still in footage.stills(args.stills).items()}
    np.stack(list(stills.values())).tofile(out / "stills.rgb")
    clips, looks = footage.moving(args.clips, args.frames), footage.looks(min(10, args.frames))
    for folder, shots in (("clips", clips), ("looks", looks)):
        for name, frames in shots.items():
            np.stack([sized(frame) for frame in frames]).tofile(out / folder / f"{name}.rgb")

    noise = np.fromfile(args.noise, np.float32).reshape(-1, height // 4, width // 4)[:NOISE_CHANNELS]
    with multiprocessing.Pool(2) as pool:
        painted = pool.map(_paint, [(style, still, noise) for style in PAINTERS for still in stills.values()], chunksize=2)
    for i, style in enumerate(PAINTERS):
        np.stack(painted[i * len(stills) : (i + 1) * len(stills)]).tofile(out / "teacher" / f"{style}.rgb")

    index = {
        "width": width, "height": height, "stills": list(stills), "clips": list(clips), "looks": list(looks),
        "isDrawn": not footage.clips and not footage.photos, "unknown": UNKNOWN, "neutral": prompts.NEUTRAL_PROMPT,
        "styles": {style: sentences(style, args.sentences) for style in PAINTERS},
    }
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
