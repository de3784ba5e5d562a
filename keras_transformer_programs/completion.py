"""Completion of the command line in bash and zsh: commands, their options, shipped files, and paths."""

from keras_transformer_programs import ROOT

# Options are read from the help of the program: they are always its own. zsh takes bash's completions.
SCRIPT = r"""
if [ -n "$ZSH_VERSION" ]; then
    autoload -Uz compinit bashcompinit
    type compdef > /dev/null 2>&1 || compinit
    bashcompinit
fi
_keras_transformer() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="@COMMANDS@"
    elif [ "${word#-}" != "$word" ]; then
        words=$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help | grep -oE -e '--[a-zA-Z][a-zA-Z0-9_.]+')
    elif [ "${COMP_WORDS[1]}" = completion ]; then
        words="bash zsh"
    elif [ "$before" = --config ]; then
        words="@CONFIGS@"
    elif [ "$before" = --space ]; then
        words="@SPACES@"
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word" | sort -u))
    if [ "$COMP_CWORD" -gt 1 ] && [ "${word#-}" = "$word" ]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _keras_transformer keras-transformer
"""


def script(commands) -> str:
    """What a shell has to read once, by `eval` or from a file.

    Args:
        commands: names of all commands.
    """
    found = {"COMMANDS": commands}
    for name in ("configs", "spaces"):
        found[name.upper()] = sorted(path.stem for path in (ROOT / "training" / name).glob("*.yaml"))
    text = SCRIPT.lstrip()
    for name, words in found.items():
        text = text.replace(f"@{name}@", " ".join(words))
    return text
