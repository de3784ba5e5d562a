"""Asks an exported model: python examples/ask_saved_model.py exported/1 TEXT [TEXT ...]

Needs TensorFlow and TF Text, nothing of this project: the SavedModel stands alone.
"""

import os
import sys

# TensorFlow writes start-up lines to file descriptor 2 while it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
screen = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
try:
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the tokenizer's ops
finally:
    os.dup2(screen, 2)

if len(sys.argv) < 3:
    sys.exit("usage: python examples/ask_saved_model.py MODEL_DIR TEXT [TEXT ...]")
model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](text=tf.constant(sys.argv[2:]))
for translation in answer["translation"].numpy():
    print(translation.decode("utf-8"))
