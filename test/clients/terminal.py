"""Runs a command on a terminal of its own (80 columns) and prints, as JSON, what it wrote there and how it ended."""
import json
import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        # The other end is closed: the command has ended.
        break
    if not part:
        break
    said += part
_, status = os.waitpid(pid, 0)
print(json.dumps({"status": os.waitstatus_to_exitcode(status), "said": said.decode("utf8", "replace")}))
