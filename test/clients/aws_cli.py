"""Runs commands of aws-cli, in one process: one JSON request a line in, one JSON answer a line out.

A request is {"service", "command", "input", "more"}, where "more" are arguments, and "input" may be missing; the answer
is {"status", "stdout", "stderr"} as a shell would see them.
"""
import contextlib
import io
import json
import os
import sys

settings = json.loads(sys.argv[1])
os.environ.update(
    AWS_ACCESS_KEY_ID=settings["accessKeyId"],
    AWS_SECRET_ACCESS_KEY=settings["secretAccessKey"],
    AWS_DEFAULT_REGION=settings.get("region", "us-east-1"),
    AWS_MAX_ATTEMPTS="1",
    AWS_PAGER="",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE="/dev/null",
    AWS_SHARED_CREDENTIALS_FILE="/dev/null",
)
os.environ.pop("AWS_PROFILE", None)
if settings.get("sessionToken"):
    os.environ["AWS_SESSION_TOKEN"] = settings["sessionToken"]

import awscli.clidriver  # noqa: E402  The environment has to be there first.


def run(request):
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    args = [
        request["service"],
        request["command"],
        *["--endpoint-url", settings["endpoint"], "--output", "json", "--no-cli-pager"],
        *(["--cli-input-json", json.dumps(request["input"])] if "input" in request else []),
        *request["more"],
    ]
    if not hasattr(awscli, "EnvironmentVariables") or awscli.__version__.startswith("1."):
        args.remove("--no-cli-pager")
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = awscli.clidriver.create_clidriver().main(args)
        except SystemExit as end:
            status = end.code
    read = lambda stream: (stream.flush(), stream.buffer.getvalue().decode("utf-8"))[1]
    return {"status": status, "stdout": read(out), "stderr": read(err)}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
