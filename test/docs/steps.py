"""Carries out the blocks of a page in their order: shell commands in one environment, Python in one session.

Where a page has a placeholder for an id, the gateway is asked for one: "snap-…" is the newest completed snapshot.
"""
import json
import os
import re
import subprocess
import sys

STEP_LIMIT_S = 120
steps = json.load(sys.stdin)
session = {}


def ask(*words):
    answer = subprocess.run(["sluicegate", *words, "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def snapshot():
    return next(each["SnapshotId"] for each in ask("snapshot", "list") if each["State"] == "completed")


def volume(name):
    return next(each for each in ask("volume", "list") if target(each).endswith(f":{name}"))


def target(volume):
    return volume["VolumeiSCSIAttributes"]["TargetARN"]


PLACEHOLDERS = {
    "snap-…": snapshot,
    "snap-0123456789abcdef0": snapshot,
    "vol-0123456789abcdef0": lambda: volume("myvolume")["VolumeId"],
    "TARGET_ARN": lambda: target(volume("restored")),
    "sched-…": lambda: next(each["ScheduleId"] for each in ask("schedule", "list", "myvolume") if "Cron" in each),
}


def filled(text):
    for placeholder, find in PLACEHOLDERS.items():
        if placeholder in text:
            text = text.replace(placeholder, find())
    left = re.search(r"^[^#\n]*…", text, re.M)
    if left:
        raise SystemExit(f"nobody knows what to put here: {left[0]}")
    return text


for where, kind, text in steps:
    text = filled(text)
    print(f"--- {where} {kind}\n{text}", flush=True)
    if kind == "python":
        exec(text, session)
        continue
    # The block's "python3" begins the session that the Python blocks are in.
    text = re.sub(r"^python3$", "", text, flags=re.M)
    read, write = os.pipe()
    os.set_inheritable(write, True)
    script = f"{text}\nenv -0 >&{write}"
    done = subprocess.Popen(["bash", "-euc", script], close_fds=False, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        variables = pipe.read()
    if done.wait(STEP_LIMIT_S) != 0:
        raise SystemExit(f"{where}: ended with {done.returncode}")
    os.environ.clear()
    os.environ.update(dict(line.split("=", 1) for line in variables.decode().split("\0") if "=" in line))
