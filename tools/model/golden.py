#!/usr/bin/env python3
"""Writes what llama.cpp makes of the small real model: tokens of texts, and greedy answers.

    tools/model/golden.py URL > adapters/src/local/golden/llama_cpp.json

URL is the base URL that `tools/model/serve.py` prints. The tests of the adapter `local` compare with this file.
"""

import json
import sys
import urllib.request

TEXTS = [
    "Hello, world! It's 2026, isn't it? They'll say we've won 12345 times.",
    "L'été dernier, Noël à Besançon coûtait 1 234,50 € ; où est-ce déjà ?",
    "你好，世界。今天是二〇二六年十二月一日，天氣很好！",
    "fn main() {\n    let x = vec![1, 2, 3];\n\tprintln!(\"{:?}\", x);\n}\n\n\n",
    "Emoji: \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 and flags \U0001f1eb\U0001f1f7!",
    "  leading, trailing and   many spaces  \n \n\t x ",
    "<|im_start|>user\nhi<|im_end|>\n",
    "हिन्दी में नमस्ते, ٣٤٥ Ⅷ ½",
]
PROMPTS = [
    "What is the capital of France?",
    "Why is the sky blue?",
    "Write a haiku about the sea.",
    "Zähle auf: eins, zwei",
    "Explain what a hash table is.",
    "Write a Python function that adds two numbers.",
    "Tell me a short story about a fox.",
]


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def answer(base: str, prompt: str) -> dict:
    # The template of the file, not the one that the server was given.
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    text = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    body = {"prompt": text, "n_predict": 32, "temperature": 0, "n_probs": 2, "cache_prompt": False, "return_tokens": True}
    told = post(f"{base}/completion", body)
    gaps = []
    for step in told["completion_probabilities"]:
        first, second = step["top_logprobs"][:2]
        gaps.append(round(first["logprob"] - second["logprob"], 4))
    prompt_tokens = told["tokens_evaluated"]
    return {"prompt": prompt, "prompt_tokens": prompt_tokens, "text": told["content"], "tokens": told["tokens"], "gaps": gaps}


def main() -> None:
    base = sys.argv[1].rstrip("/").removesuffix("/v1")
    texts = []
    for text in TEXTS:
        tokens = post(f"{base}/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
        texts.append({"text": text, "tokens": tokens})
    golden = {"texts": texts, "answers": [answer(base, prompt) for prompt in PROMPTS]}
    print(json.dumps(golden, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
