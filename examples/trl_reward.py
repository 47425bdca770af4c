"""TRL's GRPO trainer with Rollcage's reward, on a CPU and without downloads: a model that learns which program is right.

The model is a few thousand random numbers, and each of its words is a whole answer, so a completion is one word. Two of
six answers hold a right program. The reward runs them in cages, and within some steps the model says little else.

    pip install trl rollcage && python examples/trl_reward.py
"""

import logging
import tempfile

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback, set_seed
from trl import GRPOConfig, GRPOTrainer

import rollcage.trl

STEPS = 40
ANSWERS = [
    "```python\nprint(int(input()) + 1)\n```",
    "Read the number first.\n```python\nn = int(input())\nprint(n + 1)\n```",
    "```python\nprint(input() + 1)\n```",
    "```python\nprint(2)\n```",
    "```python\nwhile True: pass\n```",
    "I would rather not.",
]
CASES = [{"stdin": "1\n", "expected": "2\n"}, {"stdin": "41\n", "expected": "42\n"}]


def tokenizer() -> PreTrainedTokenizerFast:
    """One word for each answer."""
    words = ["<pad>", "<eos>", "<unk>", "question", *ANSWERS]
    vocabulary = models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>")
    made = Tokenizer(vocabulary)
    made.pre_tokenizer = pre_tokenizers.Split("\0", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def main() -> None:
    """Trains, and checks that the reward rose."""
    logging.disable(logging.WARNING)
    set_seed(1)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
    )
    rows = Dataset.from_list([{"prompt": "question", "cases": CASES}] * 8 * STEPS)
    with tempfile.TemporaryDirectory(prefix="rollcage-trl-") as directory:
        trainer = GRPOTrainer(
            LlamaForCausalLM(config),
            reward_funcs=rollcage.trl.reward(column="cases", limits={"cpu_time": 0.5}),
            processing_class=words,
            train_dataset=rows,
            args=GRPOConfig(
                output_dir=directory,
                max_steps=STEPS,
                per_device_train_batch_size=16,
                num_generations=8,
                max_completion_length=1,
                learning_rate=2e-2,
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    first, last = sum(rewards[:5]) / 5, sum(rewards[-5:]) / 5
    unscorable = max(entry.get("rollcage/unscorable", 0.0) for entry in trainer.state.log_history)
    assert len(rewards) == STEPS and unscorable == 0.0, trainer.state.log_history[-1]
    assert last > first, rewards
    print(f"TRL: mean reward {first:.2f} in the first five of {STEPS} steps, {last:.2f} in the last five")


if __name__ == "__main__":
    main()
