"""Writes a checkpoint of about a tenth of every width, with random weights, in the layout of the real one.

    python3 -m training.dreamlite.tenth FOLDER [--seed N]      also writes FOLDER/temporal_lllite.safetensors

It paints nothing sensible. It is there so that export and runtime can be tested without the weights, which are gated and non-commercial.
"""

import argparse
import json
from pathlib import Path

import torch

from training.dreamlite import safetensors
from training.dreamlite.lllite import Adapter
from training.dreamlite.qwen3vl import Qwen3VL
from training.dreamlite.tokenizer import TEMPLATE, WORDS, byte_level
from training.dreamlite.unet import UNet
from training.dreamlite.vae import AutoencoderTiny

WIDTH = 192  # of the text encoder; 2048 at full size
WORDS_KNOWN = [word for part in TEMPLATE.split("<|") for word in WORDS.findall(part.split("|>")[-1])]


def configs(tokenizer):
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    return {
        "unet": {
            "_class_name": "DreamLiteUNetModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [32, 64, 96], "attention_head_dim": [4, 8, 12],
            "down_block_types": ["DreamLiteCrossAttnNoSelfAttnDownBlock2D"] * 2 + ["DreamLiteCrossAttnDownBlock2D"],
            "up_block_types": ["DreamLiteCrossAttnUpBlock2D", "DreamLiteCrossAttnNoSelfAttnUpBlock2D", "DreamLiteUpBlock2D"],
            "layers_per_block": 2, "transformer_layers_per_block": [1, 2, 4], "cross_attention_dim": 224, "encoder_hid_dim": WIDTH,
            "encoder_hid_dim_type": "text_proj_rms", "addition_embed_type": "time", "addition_time_embed_dim": 32, "num_kv_heads": 1, "ff_mult": 3,
            "projection_class_embeddings_input_dim": 64, "qk_norm": "rms_norm", "use_sep_conv": True, "use_linear_projection": True, "act_fn": "silu",
            "norm_num_groups": 32, "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0, "num_mid_layers": 1,
        },
        "vae": {
            "_class_name": "AutoencoderTiny", "act_fn": "relu", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "scaling_factor": 1.0,
            "encoder_block_out_channels": [8] * 4, "decoder_block_out_channels": [8] * 4, "num_encoder_blocks": [1, 3, 3, 3], "num_decoder_blocks": [3, 3, 3, 1],
        },
        "text_encoder": {
            "model_type": "qwen3_vl", "image_token_id": ids["<|image_pad|>"], "vision_start_token_id": ids["<|vision_start|>"],
            "vision_end_token_id": ids["<|vision_end|>"],
            "text_config": {
                "hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_bias": False, "vocab_size": max(ids.values()) + 1, "hidden_size": WIDTH,
                "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 3 * WIDTH,
                "rope_theta": 5000000, "rope_scaling": {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True},
            },
            "vision_config": {
                "hidden_act": "gelu_pytorch_tanh", "in_channels": 3, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2, "depth": 6,
                "hidden_size": 96, "num_heads": 4, "intermediate_size": 384, "out_hidden_size": WIDTH, "num_position_embeddings": 2304,
                "deepstack_visual_indexes": [1, 3, 4],
            },
        },
        "scheduler": {
            "_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True, "time_shift_type": "exponential", "num_train_timesteps": 1000,
            "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096,
        },
    }


def random_weights(module, seed):
    """Weights that keep signals of about one, and norms and biases that are not what they would be by default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * max(1, parameter[0].numel()) ** -0.5)
            else:
                parameter.copy_(noise * 0.1 + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return module


def build(folder, seed=0):
    """Writes the checkpoint and returns its folder."""
    folder = Path(folder)
    tokenizer = byte_level(WORDS_KNOWN)
    made = configs(tokenizer)
    for part, config in made.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / part / name).write_text(json.dumps(config, indent=2) + "\n")
    (folder / "tokenizer").mkdir(exist_ok=True)
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = {part: ["diffusers", config["_class_name"]] for part, config in made.items() if "_class_name" in config}
    index = {"_class_name": "DreamLiteMobilePipeline", **parts, "text_encoder": ["transformers", "Qwen3VLForConditionalGeneration"]}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")

    unet = random_weights(UNet(made["unet"]), seed)
    safetensors.write(folder / "unet" / "diffusion_pytorch_model.safetensors", unet.state_dict(), "F16")
    vae = random_weights(AutoencoderTiny(made["vae"]), seed + 1)
    safetensors.write(folder / "vae" / "diffusion_pytorch_model.safetensors", vae.state_dict())
    text = {**made["text_encoder"]}
    text["text_config"] = {**text["text_config"], "mrope_section": text["text_config"]["rope_scaling"]["mrope_section"]}
    _write_shards(folder / "text_encoder", random_weights(Qwen3VL(text), seed + 2).state_dict(), 2)
    adapter = random_weights(Adapter(unet, cond_dim=4, mlp_dim=8), seed + 3)
    safetensors.write(folder / "temporal_lllite.safetensors", adapter.state_dict())
    return folder


def _write_shards(folder, tensors, count):
    """As transformers writes them: bfloat16, in several files with an index."""
    names, places = list(tensors), {}
    for i in range(count):
        shard = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        own = names[i * len(names) // count : (i + 1) * len(names) // count]
        safetensors.write(folder / shard, {name: tensors[name] for name in own}, "BF16")
        places.update(dict.fromkeys(own, shard))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    build(args.folder, args.seed)


if __name__ == "__main__":
    main()
