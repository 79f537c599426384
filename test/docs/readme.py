"""Carries out the steps of a page, in their order: shell commands in a shell, Python in one session."""
import json
import subprocess
import sys

steps = json.load(sys.stdin)
session = {}
for kind, text in steps:
    print(f"--- {kind}\n{text}", flush=True)
    if kind == "python":
        exec(text, session)
    else:
        subprocess.run(["bash", "-euc", text], check=True, stdout=sys.stdout, stderr=subprocess.STDOUT)
