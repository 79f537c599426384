"""Calls AWS services with boto3: one JSON request a line in, one JSON answer a line out.

Bytes are {"$bytes": Base64} in arguments, and so in results.

A request is {"service", "method", "args"}; "method" may name a client method, "paginate:<method>",
"presign:<method>" (the answer is a URL, for the HTTP method in "$method"), "retries:<method>" (the answer is how often boto3 has tried again) or "wait:<waiter>". The answer is {"ok": result} or {"error": {...}} with what a user of boto3 would see.
"""
import base64
import datetime
import json
import sys

import boto3
import botocore.config
import botocore.exceptions
import botocore.response

settings = json.loads(sys.argv[1])
config = botocore.config.Config(
    # What the client would refuse by itself has to reach the server too.
    parameter_validation=settings.get("validate", True),
    retries={"max_attempts": settings.get("attempts", 1), "mode": "standard"},
    read_timeout=120,
)
clients = {}


def client(service):
    if service not in clients:
        clients[service] = boto3.client(
            service,
            endpoint_url=settings["endpoint"],
            region_name=settings.get("region", "us-east-1"),
            aws_access_key_id=settings["accessKeyId"],
            aws_secret_access_key=settings["secretAccessKey"],
            aws_session_token=settings.get("sessionToken"),
            config=config,
        )
    return clients[service]


def bytes_of(value):
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


def call(request):
    target = client(request["service"])
    method, args = request["method"], request["args"]
    if method.startswith("wait:"):
        target.get_waiter(method[5:]).wait(**args)
        return None
    if method.startswith("paginate:"):
        return list(target.get_paginator(method[9:]).paginate(**args))
    if method.startswith("presign:"):
        http_method = args.pop("$method", None)
        return target.generate_presigned_url(method[8:], Params=args, ExpiresIn=60, HttpMethod=http_method)
    if method.startswith("retries:"):
        return getattr(target, method[8:])(**args)["ResponseMetadata"]["RetryAttempts"]
    result = getattr(target, method)(**args)
    result.pop("ResponseMetadata", None)
    return result


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, botocore.response.StreamingBody):
        return {"$bytes": base64.b64encode(value.read()).decode()}
    raise TypeError(type(value))


for line in sys.stdin:
    try:
        answer = {"ok": call(json.loads(line, object_hook=bytes_of))}
    except botocore.exceptions.ClientError as error:
        response = error.response
        answer = {
            "error": {
                "class": type(error).__name__,
                "code": response["Error"]["Code"],
                "message": response["Error"]["Message"],
                "status": response["ResponseMetadata"]["HTTPStatusCode"],
                "errorCode": response.get("error", {}).get("errorCode"),
                "reason": response.get("Reason"),
            }
        }
    except Exception as error:  # The test decides what to make of it.
        answer = {"error": {"class": type(error).__name__, "message": str(error)}}
    print(json.dumps(answer, default=plain), flush=True)
