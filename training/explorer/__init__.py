"""The attention explorer: what a run attended to, as one HTML page; see docs/explorer.md.

looking.py asks a run, beams.py makes a tree of its search, page.py a page of both; page/ holds what the
browser reads. `training.explore` is the command, `show_attention` is for notebooks.
"""
