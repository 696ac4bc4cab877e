"""A small template with handlers made for it, to try the local gateway on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HANDLERS = """
import asyncio, json, sys, threading, time

calls = []
threads = set()

def authorizer(event, context):
    calls.append(event)
    token = event["identitySource"][0]
    if token == "Bearer broken":
        raise RuntimeError("the key set is out of reach")
    if token == "Bearer odd":
        return {"isAuthorized": "yes"}
    if token == "Bearer bare":
        return {"isAuthorized": True}
    return {"isAuthorized": token == "Bearer good", "context": {"sub": "someone"}}

def echo(event, context):
    asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
    about = {
        "function_name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
    }
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": json.dumps({"event": event, "context": about})}

def special(event, context):
    what = (event.get("queryStringParameters") or {}).get("what")
    if what == "raise":
        raise ValueError("secret detail")
    if what == "exit":
        sys.exit(3)
    if what == "timeout":
        raise TimeoutError("a dependency's, not Lambda's")
    if what == "sleep":
        time.sleep(3)
    if what == "none":
        return None
    if what == "plain":
        return {"answer": 42}
    if what == "status":
        return {"statusCode": "many"}
    if what == "base64":
        return {"statusCode": 200, "isBase64Encoded": True, "body": "not base64!"}
    if what == "unserialisable":
        return {1, 2}
    if what == "huge":
        return {"statusCode": 200, "body": "x" * (6 * 1024 * 1024 + 1)}
    if what == "binary":
        return {"statusCode": 200, "isBase64Encoded": True, "body": "AP8=",
                "headers": {"Content-Type": "application/octet-stream", "Content-Length": "99"}}
    if what == "empty":
        return {"statusCode": 204, "cookies": ["a=1", "b=2"]}
    return {"statusCode": 418, "body": "short"}

def slow(event, context):
    threads.add(threading.get_ident())
    time.sleep(0.2)
    return {"statusCode": 200, "body": str(threading.get_ident())}
"""

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Timeout: 7, MemorySize: 512, Environment: {Variables: {NAME: !Sub "${AWS::StackName}"}}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token:
            FunctionArn: !GetAtt Auth.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: {Headers: [Authorization], ReauthorizeEvery: 60}
  Auth: {Type: AWS::Serverless::Function, Properties: {Handler: gateway_handlers.authorizer}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_handlers.echo
      MemorySize: 1024
      Events:
        Closed: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /closed}}
        Other: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /other}}
        Open: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: post, Path: /open, Auth: {Authorizer: NONE}}}
        Fixed: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: GET, Path: /pets/dog/1, Auth: {Authorizer: NONE}}}
        Variable: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: GET, Path: "/pets/dog/{id}", Auth: {Authorizer: NONE}}}
        Greedy: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: GET, Path: "/pets/{proxy+}", Auth: {Authorizer: NONE}}}
        Any: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: ANY, Path: "/pets/{proxy+}", Auth: {Authorizer: NONE}}}
  Special:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_handlers.special
      Timeout: 1
      Events:
        Get: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: ANY, Path: /special, Auth: {Authorizer: NONE}}}
  Slow:
    Type: AWS::Serverless::Function
    Properties:
      Handler: gateway_handlers.slow
      Events:
        Get: {Type: HttpApi, Properties:
          {ApiId: !Ref Api, Method: GET, Path: /slow, Auth: {Authorizer: NONE}}}
"""


@contextmanager
def small_api(folder: Path) -> Iterator[Path]:
    """The template in `folder`, its handlers importable for the length of a `with` block."""
    (folder / "gateway_handlers.py").write_text(HANDLERS)
    (folder / "template.yaml").write_text(TEMPLATE)
    sys.path.insert(0, str(folder))
    try:
        yield folder / "template.yaml"
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("gateway_handlers", None)


def echoed(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    event: dict[str, Any] = response.json()["event"]
    return event


def assert_message(response: httpx.Response, status: int, message: str) -> None:
    assert (response.status_code, response.json()) == (status, {"message": message})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["apigw-requestid"]
