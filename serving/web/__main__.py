"""Runs the command: python -m serving.web"""

import command_line
from serving import web

if __name__ == "__main__":
    command_line.run(web.main)
