"""What a translator, a generator, ... is, in one line."""


def described(holder, vocabulary: str) -> str:
    """The kind of the model, its parameters, the vocabulary, the search and the run.

    Args:
        holder: has `model`, `run_folder`, and `search` if it decodes.
        vocabulary: words for it.
    """
    models = getattr(holder.model, "models", [holder.model])
    kinds = ", ".join(type(model).__name__ for model in models)
    parts = [f"{kinds}, {sum(model.count_params() for model in models):,} parameters", vocabulary]
    if hasattr(holder, "search"):
        parts.append(str(holder.search))
    parts.append(f"run_folder={holder.run_folder!r}" if holder.run_folder else "of no run folder")
    return f"{type(holder).__name__}({'; '.join(parts)})"
