"""Terminal output as an SVG picture: `tmux capture-pane -e -p -S - | python scripts/picture.py docs/demo.svg`."""

import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 98
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """The text on stdin, without its empty end; the fonts are the reader's, nothing is loaded."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    for line in sys.stdin.read().strip("\n").splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True)
    svg = FONT_FACE.sub("", console.export_svg(title="trunkline demo"))
    Path(sys.argv[1]).write_text(svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


main()
