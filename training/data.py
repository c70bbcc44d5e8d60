"""Training pictures: frames of clips, photographs and drawn scenes, each painted once by every teacher.

    python3 -m training.data --data CLIPS_FOLDER --data PHOTOS_FOLDER --out CACHE --count 1000

writes CACHE/{train,held}/{source,noise,scale,<style>}.npy. Pictures are uint8 [N, 288, 512, 3] RGB, noise float16
[N, 8, 72, 128], scale int8 [N, styles] (an index into SCALES: the strokes of each painting). Sources are flipped, cropped and
recoloured before they are painted: paintings are lit from one side and must not be flipped afterwards. Some sources are
damaged after that, so the model learns to paint the clean picture from a bad one. The file `ready` holds how many
pictures are finished; training may start while the rest are being painted, and a run that was cut off goes on from there.
"""

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np

from training import held_out, scenes
from training.teachers import NOISE_CHANNELS, PAINTERS

HEIGHT, WIDTH = 288, 512
SCALES = (1.0, 0.7, 1.5)  # Usual, fine and bold strokes.
CLIP_SUFFIXES = {".mkv", ".mp4", ".mov", ".webm", ".avi"}
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}


def files(folders):
    """(clips, photos) as sorted lists of paths."""
    found = sorted(path for folder in folders for path in Path(folder).iterdir())
    return [p for p in found if p.suffix in CLIP_SUFFIXES], [p for p in found if p.suffix in PHOTO_SUFFIXES]


def cover(image, size=(HEIGHT, WIDTH), zoom=1.0, at=(0.5, 0.5)):
    """Cuts image to the aspect of size (H, W), zoom >= 1 cutting a smaller part around `at`, and scales it there."""
    height, width = image.shape[:2]
    scale = min(height / size[0], width / size[1]) / zoom
    h, w = max(8, round(size[0] * scale)), max(8, round(size[1] * scale))
    y, x = round((height - h) * at[0]), round((width - w) * at[1])
    shrink = scale >= 1
    return cv2.resize(image[y : y + h, x : x + w], (size[1], size[0]), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)


def read_clip(path, picks=None):
    """RGB frames of a clip, all of them or those whose index is in picks."""
    capture = cv2.VideoCapture(str(path))
    frames, index = [], 0
    wanted = None if picks is None else set(picks)
    while wanted is None or wanted:
        if not capture.grab():
            break
        if wanted is None or index in wanted:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
            if wanted is not None:
                wanted.discard(index)
        index += 1
    return frames


def clip_length(path):
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def recolour(image, rng):
    """Other light, other camera: gamma, gains, saturation, now and then hue; uint8 RGB."""
    picture = image.astype(np.float32) / 255
    picture = picture ** float(np.exp(rng.normal(0, 0.25)))
    picture = picture * np.exp(rng.normal(0, 0.07, 3)).astype(np.float32) * float(np.exp(rng.normal(0, 0.1)))
    grey = picture.mean(axis=2, keepdims=True)
    picture = np.clip(grey + (picture - grey) * float(np.clip(rng.normal(1.1, 0.3), 0, 2)), 0, 1)
    out = (picture * 255).astype(np.uint8)
    if rng.random() < 0.2:
        hsv = cv2.cvtColor(out, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + rng.integers(0, 180)) % 180
        out = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return out


def damage(image, rng):
    """What bad cameras and lines do: one or two of low light, sensor noise, compression, motion blur, lost resolution."""
    out = image
    for kind in rng.choice(["dark", "noise", "packed", "moved", "small"], size=int(rng.integers(1, 3)), replace=False):
        if kind == "dark":
            light = (out.astype(np.float32) / 255) ** float(rng.uniform(1.0, 1.5)) * float(rng.uniform(0.45, 0.85))
            grain = rng.normal(0, 1, out.shape) * np.sqrt(light + 0.01) * rng.uniform(0.01, 0.06)
            out = (np.clip(light + grain, 0, 1) * 255).astype(np.uint8)
        elif kind == "noise":
            out = np.clip(out + rng.normal(0, rng.uniform(2, 10), out.shape), 0, 255).astype(np.uint8)
        elif kind == "packed":
            _, packed = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
            out = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        elif kind == "moved":
            length, angle = int(rng.integers(3, 10)) | 1, rng.uniform(0, np.pi)
            kernel = np.zeros((length, length), np.float32)
            far = np.array([np.cos(angle), np.sin(angle)]) * (length // 2)
            ends = [tuple(int(v) for v in np.round(length // 2 + sign * far)) for sign in (-1, 1)]
            cv2.line(kernel, *ends, 1.0, 1)
            out = cv2.filter2D(out, -1, kernel / kernel.sum())
        else:
            share = float(rng.uniform(0.35, 0.7))
            small = cv2.resize(out, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
            out = cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return out


def plan(folders, count, held, seed):
    """A list of (kind, path, frame index, seed): four fifths of clips and photographs alike, the rest drawn."""
    rng = np.random.default_rng(seed)
    clips, photos = files(folders) if folders else ([], [])
    clips = [p for p in clips if (p.stem in held_out.CLIPS) == held]
    photos = [p for p in photos if (p.stem in held_out.PHOTOS) == held]
    jobs = []
    for i in range(count):
        kind = rng.choice(["clip", "photo", "scene"], p=[0.39, 0.39, 0.22])
        if kind == "clip" and clips:
            path = clips[int(rng.integers(len(clips)))]
            jobs.append(("clip", path, int(rng.integers(clip_length(path) - 1)), seed + i))
        elif kind == "photo" and photos:
            jobs.append(("photo", photos[int(rng.integers(len(photos)))], 0, seed + i))
        else:
            jobs.append(("scene", None, 0, seed + i))
    return jobs


def source(job, plain=False):
    """The picture of a job, RGB uint8 [288, 512, 3]; plain leaves it as the camera saw it."""
    kind, path, index, seed = job
    rng = np.random.default_rng(seed)
    if kind == "scene":
        return scenes.draw(rng)
    if kind == "clip":
        capture = cv2.VideoCapture(str(path))
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        ok, image = capture.read()
        if not ok:
            return scenes.draw(rng)
    else:
        image = cv2.imread(str(path))
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if plain:
        return cover(image)
    zoom = 1.0 if rng.random() < 0.35 else float(rng.uniform(1, 2.2 if kind == "photo" else 1.7))
    image = cover(image, zoom=zoom, at=rng.random(2))
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    return recolour(image, rng) if rng.random() < 0.75 else image


def noise_for(job, size=(HEIGHT // 4, WIDTH // 4)):
    return np.random.default_rng(job[3] + 10_000_000).standard_normal((NOISE_CHANNELS, *size)).astype(np.float16)


def _paint(task):
    """(source, noise, scale index per style, paintings) of one job."""
    job, plain = task
    cv2.setNumThreads(1)
    picture, noise = source(job, plain), noise_for(job)
    rng = np.random.default_rng(job[3] + 20_000_000)
    scales = np.zeros(len(PAINTERS), np.int8) if plain else rng.choice(len(SCALES), size=len(PAINTERS), p=[0.6, 0.2, 0.2]).astype(np.int8)
    paintings = [painter(picture, noise.astype(np.float32), SCALES[i]) for painter, i in zip(PAINTERS.values(), scales)]
    if not plain and rng.random() < 0.3:
        picture = damage(picture, rng)
    return picture, noise, scales, paintings


def build(folders, out, count, held, seed, workers=2):
    """Paints `count` sources and writes the arrays into out, from where an earlier run stopped; returns the number written."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = plan(folders, count, held, seed)
    picture = ((HEIGHT, WIDTH, 3), np.uint8)
    names = {"source": picture, "noise": ((NOISE_CHANNELS, HEIGHT // 4, WIDTH // 4), np.float16), "scale": ((len(PAINTERS),), np.int8)}
    names.update({style: picture for style in PAINTERS})
    ready = out / "ready"
    done = int(ready.read_text()) if ready.exists() else 0
    arrays = {
        name: np.lib.format.open_memmap(out / f"{name}.npy", mode="r+" if done else "w+", dtype=dtype, shape=(len(jobs), *shape))
        for name, (shape, dtype) in names.items()
    }
    if len(arrays["source"]) != len(jobs):
        raise SystemExit(f"{out} was begun with {len(arrays['source'])} pictures, not {len(jobs)}: name that --count, or another --out")
    with multiprocessing.Pool(workers) as pool:
        results = pool.imap(_paint, [(job, held) for job in jobs[done:]], chunksize=2)
        for i, (picture, noise, scales, paintings) in enumerate(results, done):
            arrays["source"][i], arrays["noise"][i], arrays["scale"][i] = picture, noise, scales
            for style, painting in zip(PAINTERS, paintings):
                arrays[style][i] = painting
            if (i + 1) % 10 == 0 or i + 1 == len(jobs):
                ready.write_text(str(i + 1))
            if (i + 1) % 50 == 0:
                print(f"{out.name}: {i + 1} of {len(jobs)}", flush=True)
    for array in arrays.values():
        array.flush()
    return len(jobs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], help="a folder of clips or photographs; may be repeated")
    parser.add_argument("--out", default="training/.cache/pictures")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--held-count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    build(args.data, Path(args.out) / "held", args.held_count, held=True, seed=args.seed + 500_000)
    build(args.data, Path(args.out) / "train", args.count, held=False, seed=args.seed)


if __name__ == "__main__":
    main()
