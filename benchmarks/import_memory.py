"""Memory and time of an import: python -m benchmarks.import_memory

The folder has the size of an OPUS-MT model (6 + 6 layers of 512, 8 heads, 2,048; 58,101 pieces) and random
weights; a process of its own writes it. The one that imports it imports a folder of almost nothing first:
what is resident then, with all modules, does not count. Linux only: it reads /proc.
"""

import gc
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import command_line
from command_line import quiet

SENTENCES = ["Two dogs run after a ball.", "A cat sleeps on the mat.", "Three men are at work."]
SIZES = {
    "tiny": (400, dict(num_layers=1, hidden_dim=16, num_heads=2, intermediate_dim=32)),
    "opus-mt": (58_102, dict(num_layers=6, hidden_dim=512, num_heads=8, intermediate_dim=2048)),
}


def main(arguments=None):
    """Measures and prints a line."""
    parser = command_line.parser("benchmarks.import_memory", __doc__)
    parser.add_argument("--size", type=str, default="opus-mt", help=f"of {', '.join(SIZES)}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for size in {"tiny", options.size}:
            in_a_process(write, folder / "folders" / size, size)
        before, peak, seconds, cpu_seconds = in_a_process(measure, folder, options.size)
        file = (folder / "folders" / options.size / "model.safetensors").stat().st_size
    print(
        f"{options.size}, a file of {file / 1e6:.0f} MB: {(peak - before) / 1e6:.0f} MB more at the peak, "
        f"{(peak - before) / file:.2f} times the file; {seconds:.0f} s, {cpu_seconds:.0f} s of CPU time"
    )


def in_a_process(function, *arguments):
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def write(folder, size):
    """Writes a Marian folder."""
    with quiet.start_up():
        from keras_transformer import models, tokenizers
        from serving import huggingface_format
    vocabulary_size, sizes = SIZES[size]
    with tempfile.TemporaryDirectory() as trained:
        tokenizers.SentencePieceTokenizer.train(SENTENCES, vocabulary_size=300).save(trained)
        spm = (Path(trained) / tokenizers.MODEL_FILE).read_bytes()
    pieces = ["<pad>", "<unk>", "<s>", "</s>", *(f"piece {number}" for number in range(vocabulary_size - 4))]
    tokenizer = tokenizers.MarianTokenizer(spm, pieces)
    model = models.Transformer(
        vocabulary_size, vocabulary_size, **sizes, share_embeddings=True, activation="silu"
    )
    model.build()
    huggingface_format.write(model, tokenizer, tokenizer, folder, max_length=512)


def measure(folder, size):
    """Resident bytes before an import and at its peak; seconds, and of CPU time."""
    from training import import_weights

    for name in ("tiny", size):
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
        before, clock, cpu_clock = status("VmRSS"), time.perf_counter(), time.process_time()
        output = folder / "run"
        shutil.rmtree(output, ignore_errors=True)
        import_weights.main([str(folder / "folders" / name), "--output", str(output)])
        found = time.perf_counter() - clock, time.process_time() - cpu_clock
    return before, status("VmHWM"), *found


def status(name):
    """Bytes, by what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    command_line.run(main)
