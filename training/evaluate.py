"""Measures a trained model on what was held out, and writes the numbers as JSON.

    python3 -m training.evaluate --pictures CACHE/pictures --data CLIPS_FOLDER --base CACHE/run/base.pt --adapter CACHE/adapter/adapter.pt

Pictures: PSNR to the teacher in 1, 2 and 4 steps, Sobel and HF-FFT against the teacher's, paraphrases against the preset, whether a modifier moves what it names. Clips: warping error, Sobel and HF-FFT with fixed noise,
with advected noise, and with the adapter on top at refresh 1, 2 and 4; the same on pans over photographs. A frozen frame: mean change after the third refresh.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from training import data, export, held_out, metrics, motion, prompts
from training.model import LATENT_CHANNELS
from training.teachers import PAINTERS
from training.train import Pictures, all_channels, paint_whole, squash, to_float


def to_bytes(y):
    """float [1, 3, H, W] -> uint8 [H, W, 3]."""
    return ((y[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).round().byte().numpy()


def on_pictures(base, held, count=48):
    """Style -> mean PSNR and Sobel and HF-FFT ratios to the teacher on plain held-out pictures."""
    table = {}
    for style in PAINTERS:
        rows = []
        for i in range(min(count, len(held))):
            painted = paint_whole(base, held.sources[i], held.noise[i], prompts.PRESETS[style], held.tokenize)
            teacher = held.teacher(style, i)
            rows.append([
                metrics.psnr(painted, teacher), metrics.sobel(painted) / metrics.sobel(teacher),
                metrics.high_frequencies(painted) / metrics.high_frequencies(teacher),
            ])
        table[style] = dict(zip(("psnr", "sobel_ratio", "hf_ratio"), np.round(np.mean(rows, axis=0), 3).tolist()))
    return table


def sigmas(steps, height=288, width=512):
    """The flow-match Euler schedule of model.json, from 1 to 0."""
    mu = 0.5 + (1.15 - 0.5) * ((height // 8) * (width // 8) // 4 - 256) / (4096 - 256)
    return [np.exp(mu) / (np.exp(mu) + (1 / s - 1)) for s in np.linspace(1, 1 / steps, steps)] + [0.0]


def in_steps(base, held, style, index, steps):
    """One painting with several Euler steps."""
    ids, mask = held.tokenize(prompts.PRESETS[style])
    schedule = sigmas(steps)
    with torch.no_grad():
        source = np.array(held.sources[index])
        prompt = base.prompt(torch.tensor([ids]), torch.tensor([mask]), to_float(torch.from_numpy(squash(source))[None]))
        latents, details = base.encoder(to_float(torch.from_numpy(source)[None]))
        x = torch.from_numpy(all_channels(held.noise[index], np.random.default_rng(0)))[None]
        for now, then in zip(schedule, schedule[1:]):
            x = x + (then - now) * base.unet(x, torch.full((1,), 1000.0 * now), prompt, latents)
        return to_bytes(base.decoder(x, details))


def on_steps(base, held, count=8):
    """Style -> steps -> PSNR to the teacher."""
    rows = {style: {steps: [] for steps in (1, 2, 4)} for style in PAINTERS}
    for style, by_steps in rows.items():
        for steps, scores in by_steps.items():
            scores += [metrics.psnr(in_steps(base, held, style, i, steps), held.teacher(style, i)) for i in range(count)]
    return {style: {str(steps): round(float(np.mean(scores)), 2) for steps, scores in by.items()} for style, by in rows.items()}


def on_phrases(base, held, count=24):
    """Mean difference, share of full scale, between what the preset and what held-out paraphrases give; and the worst."""
    table = {}
    for style in PAINTERS:
        apart = []
        for i, phrase in enumerate(prompts.split(style)[1][:: max(1, len(prompts.split(style)[1]) // count)][:count]):
            index = i % len(held)
            paint = lambda text: paint_whole(base, held.sources[index], held.noise[index], text, held.tokenize)
            apart.append(float(cv2.absdiff(paint(prompts.PRESETS[style]), paint(phrase)).mean()) / 255)
        table[style] = {"mean": round(float(np.mean(apart)), 4), "worst": round(max(apart), 4)}
    index = 0
    unchanged = paint_whole(base, held.sources[index], held.noise[index], prompts.NEUTRAL_PROMPT, held.tokenize)
    table["neutral_psnr_to_source"] = round(metrics.psnr(unchanged, np.array(held.sources[index])), 2)
    return table


def _measures(picture):
    """What modifiers name, of one RGB picture: chroma, b (yellow against blue), lightness, fineness of the strokes."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return {
        "chroma": float(np.hypot(lab[..., 1], lab[..., 2]).mean()), "b": float(lab[..., 2].mean()), "light": float(lab[..., 0].mean()),
        "fine": metrics.high_frequencies(picture) / (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).std() + 1),
    }


NAMED = {
    "vibrant": ("chroma", 1), "muted": ("chroma", -1), "monochrome": ("chroma", -1), "warm": ("b", 1), "cool": ("b", -1),
    "dark": ("light", -1), "bright": ("light", 1), "bold": ("fine", -1), "fine": ("fine", 1),
}


def on_modifiers(base, held, count=5):
    """Modifier -> share of (style, picture) pairs in which it moved what it names the right way, said in words held out of training.

    Pencil is grey already, so modifiers of chroma are not counted there.
    """
    rng, table = np.random.default_rng(3), {name: [] for name in NAMED}
    for style in PAINTERS:
        for index in range(count):
            paint = lambda text: _measures(paint_whole(base, held.sources[index], held.noise[index], text, held.tokenize))
            phrase = f"make this {prompts.NOUNS[style][1]}"
            plain = paint(phrase)
            for name, (measure, sign) in NAMED.items():
                if style == "pencil-sketch" and measure == "chroma":
                    continue
                moved = paint(prompts.modified(phrase, [name], rng, held=True))
                table[name].append(sign * (moved[measure] - plain[measure]) > 0)
    return {name: round(float(np.mean(right)), 3) for name, right in table.items()}


def paint_clip(base, adapter, frames, style, noise_mode, refresh):
    """Paints frames one after another as the engine does; refresh 0 leaves the adapter out."""
    rng = np.random.default_rng(42)
    height, width = frames[0].shape[:2]
    noise = motion.AdvectedNoise((LATENT_CHANNELS, height // 4, width // 4), rng)
    ids, mask = (torch.tensor([v]) for v in prompts.WordPiece()(prompts.PRESETS[style]))
    paintings, cond, latents = [], None, None
    with torch.no_grad():
        for i, frame in enumerate(frames):
            if i % 8 == 0:
                prompt = base.prompt(ids, mask, to_float(torch.from_numpy(squash(frame))[None]))
            hooks = None
            if i > 0:
                field = motion.flow(motion.grey(frames[i - 1]), motion.grey(frame))
                if noise_mode == "advected":
                    noise.advance(field)
                if refresh and (cond is None or (i - 1) % refresh == 0):
                    cond = adapter.condition(to_float(torch.from_numpy(motion.warp(paintings[-1], field))[None]))
                if refresh:
                    flow = motion.coarse_flow(motion.grey(frames[i - 1]), motion.grey(frame))
                    moved = (torch.from_numpy(part)[None] for part in motion.move_latents(latents[0].numpy(), flow))
                    hooks = adapter.bind(cond, *moved, torch.ones(1))
            field_of_noise = torch.from_numpy(np.ascontiguousarray(noise.noise))[None]
            latents, details = base.paint_latents(to_float(torch.from_numpy(frame)[None]), field_of_noise, prompt, hooks)
            paintings.append(to_bytes(base.decoder(latents, details)))
    return paintings


RUNS = {
    "fixed noise": ("fixed", 0), "fixed + adapter, N=2": ("fixed", 2), "advected noise": ("advected", 0),
    "advected + adapter, N=1": ("advected", 1), "advected + adapter, N=2": ("advected", 2), "advected + adapter, N=4": ("advected", 4),
}
PAN = (2.7, 1.3)  # Pixels per frame.


def pan(path, count):
    """A camera that moves steadily over a photograph, with a little sensor noise: RGB frames."""
    photo, rng = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.random.default_rng(0)
    photo = data.cover(photo, (324, 576))
    frames = []
    for t in range(count):
        matrix = np.float32([[1, 0, 4 + PAN[0] * t], [0, 1, 4 + PAN[1] * t]])
        view = cv2.warpAffine(photo, matrix, (512, 288), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)
        frames.append(np.clip(view + rng.normal(0, 1.5, view.shape), 0, 255).astype(np.uint8))
    return frames


def on_clips(base, adapter, clips, count, styles=tuple(PAINTERS)):
    """Style -> run -> mean warping error, Sobel, HF-FFT over the held-out clips."""
    table = {style: {name: [] for name in RUNS} for style in styles}
    for path in clips:
        if path.suffix in data.PHOTO_SUFFIXES:
            frames = pan(path, count)
        else:
            start = max(0, data.clip_length(path) // 2 - count // 2)
            frames = [data.cover(f) for f in data.read_clip(path, range(start, start + count))]
        flows = [metrics.input_flow(a, b) for a, b in zip(frames, frames[1:])]
        for style in styles:
            for name, (mode, refresh) in RUNS.items():
                painted = paint_clip(base, adapter, frames, style, mode, refresh)
                error = np.mean([metrics.warping_error(a, b, f) for a, b, f in zip(painted, painted[1:], flows)])
                table[style][name].append([error, np.mean([metrics.sobel(p) for p in painted]), np.mean([metrics.high_frequencies(p) for p in painted])])
        print(path.stem, file=sys.stderr, flush=True)
    mean = lambda rows: dict(zip(("warping_error", "sobel", "hf"), np.round(np.mean(rows, axis=0), 2).tolist()))
    return {style: {name: mean(rows) for name, rows in runs.items()} for style, runs in table.items()}


def on_frozen(base, adapter, frame):
    """Style -> mean change per frame, 0..255, after the third refresh at N = 2 on an input that stands still."""
    changes = {}
    for style in PAINTERS:
        painted = paint_clip(base, adapter, [frame] * 12, style, "advected", 2)
        changes[style] = round(float(np.mean([cv2.absdiff(a, b).mean() for a, b in zip(painted[6:], painted[7:])])), 3)
    return changes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="training/.cache/pictures")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--base", default="training/.cache/run/base.pt")
    parser.add_argument("--adapter", default=None)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--count", type=int, default=48, help="held-out pictures")
    parser.add_argument("--styles", default=",".join(PAINTERS), help="styles whose clips are painted, by commas")
    parser.add_argument("--pictures-only", action="store_true", help="leave out clips, pans and the frozen frame")
    parser.add_argument("--out", default=None)
    args = parser.parse_args()
    torch.set_num_threads(2)
    base, adapter = export.load(args.base, args.adapter)
    base, adapter = export.half_rounded(base).eval(), export.half_rounded(adapter).eval()
    held = Pictures(Path(args.pictures) / "held")
    clips, photos = data.files(args.data) if args.data else ([], [])
    report = {"pictures": on_pictures(base, held, args.count)}
    print(json.dumps(report, indent=2), flush=True)
    report.update(steps=on_steps(base, held), phrases=on_phrases(base, held), modifiers=on_modifiers(base, held))
    print(json.dumps(report, indent=2), flush=True)
    if args.pictures_only:
        return _write(report, args.out)
    styles = args.styles.split(",")
    report["clips"] = on_clips(base, adapter, [p for p in clips if p.stem in held_out.CLIPS], args.frames, styles)
    report["pans"] = on_clips(base, adapter, [p for p in photos if p.stem in held_out.PHOTOS], args.frames, styles)
    report["frozen"] = on_frozen(base, adapter, np.array(held.sources[0]))
    _write(report, args.out)


def _write(report, path):
    text = json.dumps(report, indent=2)
    print(text)
    if path:
        Path(path).write_text(text + "\n")


if __name__ == "__main__":
    main()
