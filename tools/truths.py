"""What came out of every prediction, taken from the outputs of the notebooks: memcg_lab/course/truths.json.

python -m tools.truths
"""

import json
import re
import sys

from tools import notebooks

FILE = "memcg_lab/course/truths.json"


def truths(root):
    """Question -> name -> what the run said, from the committed outputs of ``reveal``."""
    found = {}
    for path in notebooks.roster(root):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            asked = re.search(r'\breveal\(\s*"([^"]+)"', "".join(cell["source"]))
            for output in cell.get("outputs", []) if asked else []:
                told = re.search(r"[Tt]he run says (.*)\.$", "".join(output.get("text", [])), re.MULTILINE)
                if told:
                    values = re.findall(r'(\w+) (?:"(\w+)"|(-?[\d,]+(?:\.\d+)?))', told[1])
                    found[asked[1]] = {name: word or plain(number) for name, word, number in values}
    return found


def plain(number):
    """A number as it was printed: whole, or with what stands after the point."""
    number = number.replace(",", "")
    return float(number) if "." in number else int(number)


def text_of(found):
    return json.dumps(found, indent=1) + "\n"


def write(root):
    """Write the file if it has changed. Returns an exit status."""
    changed = notebooks.write_if_changed(root / FILE, text_of(truths(root)))
    print(f"{'wrote' if changed else 'unchanged'} {FILE}")
    return 0


def main(argv):
    return notebooks.run(write, notebooks.parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
