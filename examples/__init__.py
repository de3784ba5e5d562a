"""Short programs that a reader runs first: python -m examples.NAME"""
