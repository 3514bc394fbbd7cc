// Runs one scenario with the Anthropic TypeScript SDK and prints what it saw as one line of JSON.
//
// Usage: node anthropic_sdk.mjs SDK_FOLDER BASE_URL API_KEY SCENARIO
//
// anthropic_sdk.py does the same with the Python SDK, and prints the same fields.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, baseURL, apiKey, name] = process.argv.slice(2);

// A bare import would look beside this file, and the SDK is installed elsewhere, in two versions.
const entry = join(folder, "node_modules", "@anthropic-ai", "sdk", "index.mjs");
const { default: Anthropic, APIError } = await import(pathToFileURL(entry).href);

const MODEL = "claude-sonnet-5";
// Each of these is served by an account that refuses in its own way.
const REFUSED_MODELS = {
  bad_request: "claude-opus-5",
  rate_limited: "claude-sonnet-5",
  overloaded: "claude-haiku-4-5",
};
const QUESTION = [{ role: "user", content: "Say hello. 打个招呼 👋" }];
const TOOL = {
  name: "get_weather",
  description: "The weather in a city.",
  input_schema: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  },
};

const SCENARIOS = { stream, message, tools, errors, cancel, midstream, catalogue };

// Without retries every request is one that the scenario asked for.
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
console.log(JSON.stringify(await SCENARIOS[name](client)));
// Stays until it is told to go: what is closed by now was closed by the SDK, not by the exit.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

// A stream through the helper, and another one event by event.
async function stream(client) {
  const helper = client.messages.stream({ model: MODEL, max_tokens: 1024, messages: QUESTION });
  const texts = [];
  helper.on("text", (text) => texts.push(text));
  const final = await helper.finalMessage();
  const events = [];
  const raw = await client.messages.create({
    model: MODEL,
    max_tokens: 1024,
    messages: QUESTION,
    stream: true,
  });
  for await (const event of raw) events.push(event);
  const deltas = events.filter((event) => event.type === "content_block_delta");
  const lastUsage = events.filter((event) => event.type === "message_delta").at(-1).usage;
  return {
    helper: { text: texts.join(""), message: messageFacts(final) },
    raw: {
      events: events.map((event) => event.type),
      text: deltas.map((event) => event.delta.text).join(""),
      output_tokens: lastUsage.output_tokens,
    },
  };
}

// One answer that is not streamed.
async function message(client) {
  const answer = await client.messages.create({
    model: MODEL,
    max_tokens: 1024,
    messages: QUESTION,
  });
  return { message: messageFacts(answer), request_id: answer._request_id };
}

// A tool call that comes in a stream, and the answer to its result.
async function tools(client) {
  const messages = [{ role: "user", content: "What is the weather in 京都?" }];
  const asked = await client.messages
    .stream({ model: MODEL, max_tokens: 1024, messages, tools: [TOOL] })
    .finalMessage();
  const call = asked.content.find((block) => block.type === "tool_use");
  messages.push(
    { role: "assistant", content: asked.content },
    {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: call.id, content: "12 °C, 小雨 🌧" }],
    },
  );
  const answer = await client.messages.create({
    model: MODEL,
    max_tokens: 1024,
    messages,
    tools: [TOOL],
  });
  return {
    call: { id: call.id, name: call.name, input: call.input },
    asked: messageFacts(asked),
    answered: messageFacts(answer),
  };
}

// Every refusal, as the typed error that it becomes.
async function errors(client) {
  const refused = (by, model) => () =>
    by.messages.create({ model, max_tokens: 1024, messages: QUESTION });
  const stranger = client.withOptions({ apiKey: `${apiKey}x` });
  const seen = { unknown_key: await errorOf(refused(stranger, MODEL)) };
  for (const [name, model] of Object.entries(REFUSED_MODELS)) {
    seen[name] = await errorOf(refused(client, model));
  }
  return seen;
}

// A stream that is left after three deltas.
async function cancel(client) {
  let deltas = 0;
  const events = await client.messages.create({
    model: MODEL,
    max_tokens: 1024,
    messages: QUESTION,
    stream: true,
  });
  for await (const event of events) {
    deltas += event.type === "content_block_delta" ? 1 : 0;
    if (deltas === 3) break;
  }
  return { deltas };
}

// A stream that the provider breaks off with an error event.
async function midstream(client) {
  let deltas = 0;
  const error = await errorOf(() => {
    const helper = client.messages.stream({ model: MODEL, max_tokens: 1024, messages: QUESTION });
    helper.on("text", () => (deltas += 1));
    return helper.finalMessage();
  });
  return { deltas, error };
}

// What needs no conversation: the size of a prompt, and the models there are.
async function catalogue(client) {
  const counted = await client.messages.countTokens({ model: MODEL, messages: QUESTION });
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  return { input_tokens: counted.input_tokens, models };
}

function messageFacts(answer) {
  const texts = answer.content.filter((block) => block.type === "text");
  return {
    text: texts.map((block) => block.text).join(""),
    model: answer.model,
    stop_reason: answer.stop_reason,
    input_tokens: answer.usage.input_tokens,
    output_tokens: answer.usage.output_tokens,
  };
}

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    const detail = error.error?.error ?? {};
    return {
      class: error.constructor.name,
      status: error.status ?? null,
      type: detail.type ?? null,
      message: detail.message ?? null,
      request_id: error.requestID ?? null,
    };
  }
  return null;
}
