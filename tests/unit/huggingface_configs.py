"""Configurations as checkpoints publish them, keys that matter here; from the pages of the checkpoints or of copies."""

from __future__ import annotations

# fmt: off
_COMMON = {"torch_dtype": "bfloat16", "tie_word_embeddings": False}

OLMOE = {
    **_COMMON,
    "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_attention_heads": 16,
    "num_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 16, "num_key_value_heads": 16,
    "max_position_embeddings": 4096, "vocab_size": 50304,
}
QWEN15_MOE = {
    **_COMMON,
    "model_type": "qwen2_moe", "decoder_sparse_step": 1, "hidden_size": 2048, "intermediate_size": 5632,
    "max_position_embeddings": 8192, "max_window_layers": 21, "moe_intermediate_size": 1408, "num_experts": 60,
    "num_attention_heads": 16, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 16,
    "shared_expert_intermediate_size": 5632, "sliding_window": 32768, "use_sliding_window": False,
    "vocab_size": 151936,
}
QWEN2_57B = {
    **QWEN15_MOE,
    "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 131072, "max_window_layers": 28,
    "moe_intermediate_size": 2560, "num_experts": 64, "num_attention_heads": 28, "num_experts_per_tok": 8,
    "num_hidden_layers": 28, "num_key_value_heads": 4, "shared_expert_intermediate_size": 20480,
    "sliding_window": 65536,
}
DEEPSEEK_V2_LITE = {
    **_COMMON,
    "model_type": "deepseek_v2", "first_k_dense_replace": 1, "hidden_size": 2048, "intermediate_size": 10944,
    "kv_lora_rank": 512, "max_position_embeddings": 163840, "moe_intermediate_size": 1408, "moe_layer_freq": 1,
    "n_group": 1, "n_routed_experts": 64, "n_shared_experts": 2, "num_attention_heads": 16,
    "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_key_value_heads": 16, "q_lora_rank": None,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 102400,
}
GLM45 = {
    **_COMMON,
    "model_type": "glm4_moe", "attention_bias": True, "first_k_dense_replace": 3, "head_dim": 128,
    "hidden_size": 5120, "intermediate_size": 12288, "max_position_embeddings": 131072,
    "moe_intermediate_size": 1536, "n_group": 1, "n_routed_experts": 160, "n_shared_experts": 1,
    "num_attention_heads": 96, "num_experts_per_tok": 8, "num_hidden_layers": 92, "num_key_value_heads": 8,
    "num_nextn_predict_layers": 1, "partial_rotary_factor": 0.5, "use_qk_norm": True, "vocab_size": 151552,
}
GLM45_AIR = {
    **GLM45,
    "first_k_dense_replace": 1, "hidden_size": 4096, "intermediate_size": 10944, "moe_intermediate_size": 1408,
    "n_routed_experts": 128, "num_hidden_layers": 46, "use_qk_norm": False,
}
PHI35_MOE = {
    **_COMMON,
    "model_type": "phimoe", "attention_bias": True, "hidden_size": 4096, "intermediate_size": 6400,
    "lm_head_bias": True, "max_position_embeddings": 131072, "num_attention_heads": 32, "num_experts_per_tok": 2,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 16, "sliding_window": 131072,
    "vocab_size": 32064,
}
DBRX = {
    **_COMMON,
    "model_type": "dbrx", "d_model": 6144, "max_seq_len": 32768, "n_heads": 48, "n_layers": 40,
    "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000},
    "ffn_config": {"ffn_hidden_size": 10752, "moe_loss_weight": 0.05, "moe_num_experts": 16, "moe_top_k": 4},
    "vocab_size": 100352,
}
QWEN25_72B = {
    **_COMMON,
    "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29568, "max_position_embeddings": 131072,
    "max_window_layers": 80, "num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8,
    "sliding_window": 131072, "use_sliding_window": False, "vocab_size": 152064,
}
QWEN25_32B = {
    **QWEN25_72B,
    "hidden_size": 5120, "intermediate_size": 27648, "max_window_layers": 64, "num_attention_heads": 40,
    "num_hidden_layers": 64,
}
MIXTRAL = {
    **_COMMON,
    "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768,
    "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "num_local_experts": 8, "sliding_window": None, "vocab_size": 32000,
}
MAVERICK = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text", "attention_chunk_size": 8192, "head_dim": 128, "hidden_size": 5120,
        "interleave_moe_layer_step": 2, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "max_position_embeddings": 1048576, "num_attention_heads": 40, "num_experts_per_tok": 1,
        "num_hidden_layers": 48, "num_key_value_heads": 8, "num_local_experts": 128, "torch_dtype": "bfloat16",
        "vocab_size": 202048,
    },
    "vision_config": {"hidden_size": 1408, "num_hidden_layers": 34, "intermediate_size": 5632},
}
QWEN35 = {
    "model_type": "qwen3_5_moe",
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "qwen3_5_moe_text", "attn_output_gate": True, "dtype": "bfloat16", "head_dim": 256,
        "full_attention_interval": 4, "hidden_size": 4096, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 64, "linear_value_head_dim": 128,
        "mamba_ssm_dtype": "float32", "max_position_embeddings": 262144, "moe_intermediate_size": 1024,
        "num_attention_heads": 32, "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 60,
        "num_key_value_heads": 2, "shared_expert_intermediate_size": 1024, "vocab_size": 248320,
    },
}
DEEPSEEK_V3 = {
    **DEEPSEEK_V2_LITE,
    "model_type": "deepseek_v3", "first_k_dense_replace": 3, "hidden_size": 7168, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1, "q_lora_rank": 1536, "topk_group": 4, "vocab_size": 129280,
    "quantization_config": {"fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]},
}
GPT_OSS = {
    "model_type": "gpt_oss", "experts_per_token": 4, "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 12, "max_position_embeddings": 131072,
    "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 8,
    "num_local_experts": 32, "sliding_window": 128, "tie_word_embeddings": False, "vocab_size": 201088,
    "quantization_config": {
        "modules_to_not_convert": [
            *("model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head")
        ],
        "quant_method": "mxfp4",
    },
}

BY_NAME = {
    "olmoe-1b-7b": OLMOE,
    "qwen1.5-moe-a2.7b": QWEN15_MOE,
    "qwen2-57b-a14b": QWEN2_57B,
    "deepseek-v2-lite": DEEPSEEK_V2_LITE,
    "glm-4.5": GLM45,
    "glm-4.5-air": GLM45_AIR,
    "phi-3.5-moe": PHI35_MOE,
    "dbrx": DBRX,
    "qwen2.5-72b": QWEN25_72B,
    "qwen2.5-32b": QWEN25_32B,
    "mixtral-8x7b": MIXTRAL,
    "llama-4-maverick": MAVERICK,
    "qwen3.5-397b-a17b": QWEN35,
    "deepseek-v3": DEEPSEEK_V3,
    "gpt-oss-20b": GPT_OSS,
}
