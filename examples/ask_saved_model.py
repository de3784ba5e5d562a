"""Asks an exported model: python examples/ask_saved_model.py exported/1 TEXT [TEXT ...]

Needs TensorFlow and TF Text, nothing of this project: the SavedModel stands alone.
"""

import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokenizer's ops

model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](text=tf.constant(sys.argv[2:]))
for translation in answer["translation"].numpy():
    print(translation.decode("utf-8"))
