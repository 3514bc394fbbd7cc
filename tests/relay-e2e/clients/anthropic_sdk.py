"""Runs one scenario with the Anthropic Python SDK and prints what it saw as one line of JSON.

Usage: anthropic_sdk.py BASE_URL API_KEY SCENARIO

anthropic_sdk.mjs does the same with the TypeScript SDK, and prints the same fields.
"""

import json
import sys

import anthropic

MODEL = "claude-sonnet-5"
# Each of these is served by an account that refuses in its own way.
REFUSED_MODELS = {
    "bad_request": "claude-opus-5",
    "rate_limited": "claude-sonnet-5",
    "overloaded": "claude-haiku-4-5",
}
QUESTION = [{"role": "user", "content": "Say hello. 打个招呼 👋"}]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def stream(client):
    """A stream through the helper, and another one event by event."""
    with client.messages.stream(model=MODEL, max_tokens=1024, messages=QUESTION) as helper:
        text = "".join(helper.text_stream)
        final = helper.get_final_message()
    events = list(
        client.messages.create(model=MODEL, max_tokens=1024, messages=QUESTION, stream=True)
    )
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    last_usage = [event.usage for event in events if event.type == "message_delta"][-1]
    return {
        "helper": {"text": text, "message": message_facts(final)},
        "raw": {
            "events": [event.type for event in events],
            "text": "".join(delta.text for delta in deltas),
            "output_tokens": last_usage.output_tokens,
        },
    }


def message(client):
    """One answer that is not streamed."""
    answer = client.messages.create(model=MODEL, max_tokens=1024, messages=QUESTION)
    return {"message": message_facts(answer), "request_id": answer._request_id}


def tools(client):
    """A tool call that comes in a stream, and the answer to its result."""
    messages = [{"role": "user", "content": "What is the weather in 京都?"}]
    with client.messages.stream(
        model=MODEL, max_tokens=1024, messages=messages, tools=[TOOL]
    ) as helper:
        asked = helper.get_final_message()
    call = next(block for block in asked.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 °C, 小雨 🌧"}
    messages += [
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(
        model=MODEL, max_tokens=1024, messages=messages, tools=[TOOL]
    )
    return {
        "call": {"id": call.id, "name": call.name, "input": call.input},
        "asked": message_facts(asked),
        "answered": message_facts(answer),
    }


def errors(client):
    """Every refusal, as the typed error that it becomes."""

    def refused(by, model):
        by.messages.create(model=model, max_tokens=1024, messages=QUESTION)

    stranger = client.with_options(api_key=client.api_key + "x")
    seen = {"unknown_key": error_of(lambda: refused(stranger, MODEL))}
    for name, model in REFUSED_MODELS.items():
        seen[name] = error_of(lambda: refused(client, model))
    return seen


def cancel(client):
    """A stream that is left after three deltas."""
    deltas = 0
    with client.messages.create(
        model=MODEL, max_tokens=1024, messages=QUESTION, stream=True
    ) as events:
        for event in events:
            deltas += event.type == "content_block_delta"
            if deltas == 3:
                break
    return {"deltas": deltas}


def midstream(client):
    """A stream that the provider breaks off with an error event."""
    texts = []

    def read():
        with client.messages.stream(
            model=MODEL, max_tokens=1024, messages=QUESTION
        ) as helper:
            texts.extend(helper.text_stream)

    error = error_of(read)
    return {"deltas": len(texts), "error": error}


def catalogue(client):
    """What needs no conversation: the size of a prompt, and the models there are."""
    counted = client.messages.count_tokens(model=MODEL, messages=QUESTION)
    return {
        "input_tokens": counted.input_tokens,
        "models": [model.id for model in client.models.list()],
    }


def message_facts(answer):
    texts = [block.text for block in answer.content if block.type == "text"]
    return {
        "text": "".join(texts),
        "model": answer.model,
        "stop_reason": answer.stop_reason,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
    }


def error_of(call):
    try:
        call()
    except anthropic.APIError as error:
        body = error.body if isinstance(error.body, dict) else {}
        detail = body.get("error", {})
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "type": detail.get("type"),
            "message": detail.get("message"),
            "request_id": getattr(error, "request_id", None),
        }
    return None


SCENARIOS = [stream, message, tools, errors, cancel, midstream, catalogue]


def main():
    base_url, api_key, name = sys.argv[1:]
    scenario = next(scenario for scenario in SCENARIOS if scenario.__name__ == name)
    # Without retries every request is one that the scenario asked for.
    client = anthropic.Anthropic(base_url=base_url, api_key=api_key, max_retries=0)
    seen = scenario(client)
    print(json.dumps(seen), flush=True)
    # Stays until it is told to go: what is closed by now was closed by the SDK, not by the exit.
    sys.stdin.read()


main()
