"""python -m keras_transformer_programs: the command `keras-transformer`."""

from keras_transformer_programs.commands import main

main()
