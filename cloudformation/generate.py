#!/usr/bin/env python3
"""Puts the documents' scripts into ecs-updater.yaml, between its two marks; `--check` only compares.

The scripts exist once, as documents/*.sh. What all four share (lib.sh) stands once in the template too, since a
template that is handed to CloudFormation directly may have 51,200 bytes.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATE = HERE / "ecs-updater.yaml"
BEGIN = "  # BEGIN scripts: made by generate.py from documents/*.sh\n"
END = "  # END scripts\n"
SCRIPTS = {"Shared": "lib", "Inspect": "inspect", "Stage": "stage", "Reboot": "reboot", "Revert": "revert"}


def script(name):
    text = (HERE / "documents" / f"{name}.sh").read_text()
    for number, line in enumerate(text.splitlines(), 1):
        if "{{" in line or "\t" in line or line != line.rstrip():
            sys.exit(f"documents/{name}.sh:{number}: '{{{{' is SSM's own; tabs and spaces at a line's end break YAML")
    return text


def mapping():
    parts = [BEGIN, "  Scripts:\n"]
    for key, name in SCRIPTS.items():
        parts.append(f"    {key}:\n      Text: |\n")
        parts += [f"        {line}\n" if line else "\n" for line in script(name).splitlines()]
    return "".join([*parts, END])


def generate(template):
    before, _, rest = template.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{TEMPLATE.name} has no marks for the scripts")
    return before + mapping() + after


def main():
    old = TEMPLATE.read_text()
    new = generate(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else f"{TEMPLATE.name} does not hold the scripts of documents/: run generate.py")
    TEMPLATE.write_text(new)


if __name__ == "__main__":
    main()
