"""Error messages of the commands: one line, the rule, then what came."""

import re

WRONG = re.compile(
    r'Parser key "(?P<name>[\w.]+)"(?: element \d+)?: '
    r"(?:Expected a (?P<type>.+?)\. Got value: (?P<value>.*)"
    r"|Does not validate against any of the Union subtypes Subtypes: \[(?P<types>.+?)\] Errors: .*"
    r" Given value: (?P<given>.*))"
)
TYPE = re.compile(r"<class '(?P<class>[\w.]+)'>|typing\.Literal\[(?P<words>[^]]*)\]|(?P<list>list)\[\w+\]")
WORDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list": "a list, [a, b]",
    "NoneType": None,
}


# Characters; a text of a page that an error quotes would hide what is wrong with it.
LONGEST = 1000


def one_line(message) -> str:
    """A message without line ends; of a very long one the beginning and the end."""
    line = " ".join(str(message).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def plain(message: str) -> str:
    """jsonargparse's message about a value of the wrong type in plain words; any other as it is."""
    found = WRONG.fullmatch(message)
    if not found:
        return message
    rules = []
    for kind in TYPE.finditer(found["type"] or found["types"]):
        if kind["words"] is not None:
            rules.append(f"one of {kind['words'].replace(chr(39), '')}")
        else:
            rules.append(WORDS.get(kind["list"] or kind["class"], ""))
    if not rules or "" in rules:  # a section of a configuration
        return message
    value = found["value"] if found["type"] else found["given"]
    rule = " or ".join(rule for rule in rules if rule is not None)
    return f"`{found['name']}` must be {rule}. Received: {found['name']}={value}."
