"""An adapter in one file: it counts the words of what it is asked, and says so, as a model would.

PYTHONPATH=proto python adapters/examples/python/adapter.py 127.0.0.1:7071   (needs grpcio and grpcio-tools)
"""

import json
import sys
import time
from concurrent import futures

import grpc

wire, services = grpc.protos_and_services("atp/adapter/v1/adapter.proto")
JSON, EVENTS = b"application/json", b"text/event-stream"


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "words", "object": "chat.completion.chunk", "created": int(time.time()), "model": "words", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def head(kind):
    return wire.ResponseHead(status=200, headers=[wire.Header(name="content-type", value=kind)])


class Words(services.AdapterServiceServicer):
    def Capabilities(self, request, context):
        return wire.CapabilitiesResponse(adapter_id=sys.argv[1], adapter_type="words", models=["words"], dialects=["openai"])

    def Health(self, request, context):
        return wire.HealthResponse(status=wire.HEALTH_STATUS_HEALTHY)

    def Complete(self, requests, context):
        first = next(requests)
        body = json.loads(first.body + b"".join(more.body for more in requests))
        asked = str(body["messages"][-1]["content"]).split()
        said = ["That", "is", str(len(asked)), "words."]
        usage = wire.Usage(input=len(asked), output=len(said))
        report = wire.Report(usage=usage, finish=wire.FINISH_STOP, content=True, complete=True)
        if first.head.stream:
            yield wire.CompleteResponse(head=head(EVENTS), body=event({"role": "assistant"}))
            for word in said:
                yield wire.CompleteResponse(body=event({"content": word + " "}), report=wire.Report(content=True))
            yield wire.CompleteResponse(body=event({}, "stop") + b"data: [DONE]\n\n", report=report)
            return
        message = {"role": "assistant", "content": " ".join(said)}
        told = {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output}
        answer = {"id": "words", "object": "chat.completion", "created": int(time.time()), "model": "words"}
        answer |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": told}
        yield wire.CompleteResponse(head=head(JSON), body=json.dumps(answer).encode(), report=report)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
services.add_AdapterServiceServicer_to_server(Words(), server)
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
