"""The text embedders that `benchmarks.embeddings` compares: programs, run in environments of their own."""
