"""Batches alone: pairs and target tokens a second on one thread, samples without room, padding.

python -m benchmarks.data_pipeline --run RUN [--data_dir DIR] [--augmentation.sampled_sides both ...]

RUN is a run folder: its data, tokenizers and buckets. One pass over the training pairs is made and timed,
without TensorFlow's part, which copies the arrays.
"""

import time
from dataclasses import replace
from pathlib import Path

import command_line
from command_line import quiet
from training import run_folder
from training.tasks.translation import AugmentationConfig


def main():
    parser = command_line.parser("benchmarks.data_pipeline", __doc__)
    command_line_options(parser)
    options = parser.parse_args()
    augmentation = parser.instantiate(options)["augmentation"]
    with quiet.start_up():
        from training import tasks
    config = replace(run_folder.load_config(options.run), augmentation=augmentation)
    if options.data_dir:
        config = replace(config, data=replace(config.data, data_dir=options.data_dir))
    task = tasks.make(config)
    task.load()
    task.load_tokenizers(Path(options.run))
    batches = task.batches("train")
    print(batches.summary())

    num_pairs = num_tokens = places = 0
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for _, labels in batches.batches_of_pass(0):
        num_pairs += (labels[:, 0] != 0).sum()
        num_tokens += (labels != 0).sum()
        places += labels.size
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    print(
        f"{num_pairs / cpu:,.0f} pairs/s, {num_tokens / cpu:,.0f} target tokens/s of processor time "
        f"({seconds:.1f} s passed, {cpu:.1f} s of processor time); "
        f"{num_tokens:,} target tokens, {1 - num_tokens / places:.0%} padding"
    )
    drawn = batches.augmentation
    if drawn is not None and drawn.num_drawn:
        print(f"{drawn.num_without_room / drawn.num_drawn:.2%} of {drawn.num_drawn:,} sides without room")


def command_line_options(parser):
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument("--data_dir", type=str, help="folder with the data; the run's if absent")
    parser.add_class_arguments(AugmentationConfig, "augmentation")


if __name__ == "__main__":
    command_line.run(main)
