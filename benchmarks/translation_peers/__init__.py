"""Translators that `benchmarks.imported_translator` compares: programs, run in environments of their own."""
