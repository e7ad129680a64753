"""What can happen to a request on its way to S3, a fake of S3, and boto3's real client with the same faults."""

import hashlib
import io
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPResponse


class Fault(Enum):
    LOST_REQUEST = auto()
    LOST_REPLY = auto()
    LATE = auto()  # times out, and is carried out when the next request comes
    CONFLICT = auto()
    REFUSED_AFTER = auto()  # carried out; a proxy sent it again and answers 412
    UNAVAILABLE = auto()
    UNAVAILABLE_AFTER = auto()  # 503, though it was carried out


class AnswerError(Exception):
    """An answer other than success."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class Way:
    """Between a client and S3: `faults` says what happens to each request in turn."""

    def __init__(self, faults: Iterator[Fault | None]):
        self.faults = faults
        self.late = []
        self.num_met = Counter()

    def take(self, carry_out: Callable[[], Any], is_put: bool) -> Any:
        self.settle()
        fault = next(self.faults)
        if not is_put and fault in (Fault.CONFLICT, Fault.REFUSED_AFTER, Fault.LATE):
            fault = Fault.LOST_REPLY
        self.num_met[fault] += 1
        if fault is Fault.LATE:
            self.late.append(carry_out)
        if fault in (None, Fault.LOST_REPLY, Fault.UNAVAILABLE_AFTER, Fault.REFUSED_AFTER):
            reply = carry_out()
        match fault:
            case None:
                return reply
            case Fault.LOST_REQUEST:
                raise ConnectionClosedError(endpoint_url="s3")
            case Fault.LOST_REPLY | Fault.LATE:
                raise ReadTimeoutError(endpoint_url="s3")
            case Fault.CONFLICT:
                raise AnswerError(409)
            case Fault.REFUSED_AFTER:
                raise AnswerError(412)
            case Fault.UNAVAILABLE | Fault.UNAVAILABLE_AFTER:
                raise AnswerError(503)

    def settle(self):
        """What is late arrives."""
        while self.late:
            with suppress(AnswerError):
                self.late.pop(0)()


def no_faults():
    return itertools.repeat(None)


def random_faults(draw: random.Random, share: float):
    kinds = list(Fault)
    while True:
        yield draw.choice(kinds) if draw.random() < share else None


class FakeBucket:
    """Objects as S3 has them: a put with its condition is one step; an ETag is a hash of the content."""

    def __init__(self):
        self.contents: dict[str, bytes] = {}
        self.num_writes = Counter()

    def put(self, key, content, none_match=None, match=None):
        there = self.contents.get(key)
        if none_match == "*" and there is not None:
            raise AnswerError(412)
        if match is not None and there is None:
            raise AnswerError(404)
        if match is not None and match != etag(there):
            raise AnswerError(412)
        self.contents[key] = content
        self.num_writes[key] += 1
        return {"ETag": etag(content)}

    def get(self, key):
        if key not in self.contents:
            raise AnswerError(404)
        return {"Body": io.BytesIO(self.contents[key]), "ETag": etag(self.contents[key])}


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


class FakeClient:
    """The part of boto3's client that a log and a lease use; `bucket` may be shared with others."""

    def __init__(self, bucket: FakeBucket, way: Way):
        self.bucket, self.way = bucket, way

    def put_object(self, *, Bucket, Key, Body, ChecksumAlgorithm, IfNoneMatch=None, IfMatch=None):  # noqa: N803
        return self._send(lambda: self.bucket.put(Key, Body, IfNoneMatch, IfMatch), "PutObject")

    def get_object(self, *, Bucket, Key):  # noqa: N803
        return self._send(lambda: self.bucket.get(Key), "GetObject")

    def get_paginator(self, operation):
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket, Prefix, Delimiter):  # noqa: N803
        """Pages of two, so that there is more than one; of what lies directly in the folder."""
        found = [key for key in self.bucket.contents if key.startswith(Prefix) and "/" not in key[len(Prefix) :]]
        for start in range(0, len(found), 2):
            yield {"Contents": [{"Key": key} for key in found[start : start + 2]]}

    def _send(self, carry_out, operation):
        try:
            return self.way.take(carry_out, operation == "PutObject")
        except AnswerError as answer:
            code = {404: "NoSuchKey", 409: "ConditionalRequestConflict", 412: "PreconditionFailed", 503: "SlowDown"}
            response = {
                "Error": {"Code": code[answer.status], "Message": "as told"},
                "ResponseMetadata": {"HTTPStatusCode": answer.status},
            }
            raise ClientError(response, operation) from None


class FaultyClient:
    """boto3's client, whose requests go by `way`; the network below is real.

    Clients take long to make, so many of these share one: `shared` comes from `shareable`.
    """

    def __init__(self, shared, way: Way):
        self.client, self.ways = shared
        self.way = way

    def put_object(self, **what):
        return self._send(self.client.put_object, what)

    def get_object(self, **what):
        return self._send(self.client.get_object, what)

    def _send(self, operation, what):
        self.ways.append(self.way)
        try:
            return operation(**what)
        finally:
            self.ways.pop()


def shareable(client):
    session, ways = URLLib3Session(), []

    def send(request, **_):
        replies = []

        def carry_out():
            replies.append(session.send(request))
            return replies[-1]

        try:
            return ways[-1].take(carry_out, request.method == "PUT")
        except (AnswerError, HTTPClientError) as error:
            for reply in replies:
                reply.raw.close()  # nobody reads it
            if isinstance(error, HTTPClientError):
                raise
            return AWSResponse(request.url, error.status, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", send)
    return client, ways
