//! Usages as providers report them, and to the digit what they cost.

use relay_pricing::PriceBook;
use relay_protocol::anthropic::{StreamTap, read_message};

use super::*;

/// What an answer that reports `usage` costs on `model`.
fn complete(book: &PriceBook, model: &str, usage: &str) -> Option<String> {
    let body = format!(r#"{{"id":"msg_1","model":"{model}","usage":{usage}}}"#);
    let facts = read_message(body.as_bytes());
    let charge = (facts.usage.unwrap(), terms(&facts.served)).into();
    let quote = book.quote(facts.served_model.unwrap().as_str(), &charge)?;
    assert_eq!(quote.by_kind.total(), quote.cost);
    Some(quote.cost.to_string())
}

/// The same as a stream: the input at its start, with one token of output, and everything again at its end.
fn streamed(book: &PriceBook, model: &str, usage: &str) -> Option<String> {
    let start = usage.replacen(r#""output_tokens":"#, r#""output_tokens":1,"was":"#, 1);
    let stream = format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\
         \"model\":\"{model}\",\"usage\":{start}}}}}\n\n\
         event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\
         \"usage\":{usage}}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    );
    let mut tap = StreamTap::default();
    tap.feed(stream.as_bytes());
    let charge = (tap.usage(), terms(tap.served())).into();
    let quote = book.quote(tap.served_model().unwrap().as_str(), &charge)?;
    Some(quote.cost.to_string())
}

#[test]
fn what_a_provider_reports_costs_what_it_charges() {
    const SONNET: &str = "claude-sonnet-4-5-20250929";
    const OPUS: &str = "claude-opus-4-6";
    let opus = |served: &str| {
        format!(
            r#"{{"input_tokens":1000,"cache_creation_input_tokens":300,"cache_read_input_tokens":5000,
               "cache_creation":{{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200}},
               "output_tokens":500{served}}}"#
        )
        .replace('\n', "")
    };
    let sonnet = |input: u64, writes: u64, five_minutes: u64, hour: u64, read: u64, output: u64| {
        format!(
            r#"{{"input_tokens":{input},"cache_creation_input_tokens":{writes},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{five_minutes},"ephemeral_1h_input_tokens":{hour}}},"output_tokens":{output}}}"#
        )
    };
    let gpt = |tier: &str| {
        format!(
            r#"{{"input_tokens":1000,"cache_read_input_tokens":1000,"output_tokens":100,"service_tier":"{tier}"}}"#
        )
    };
    let cases = [
        ("written for five minutes", SONNET, sonnet(1_000, 2_000, 2_000, 0, 30_000, 500), Some("0.027")),
        ("written for an hour", SONNET, sonnet(1_000, 2_000, 0, 2_000, 30_000, 500), Some("0.0315")),
        ("written for both", SONNET, sonnet(1_000, 3_000, 1_000, 2_000, 30_000, 500), Some("0.03525")),
        (
            "writes as one number are for five minutes",
            SONNET,
            r#"{"input_tokens":1000,"cache_creation_input_tokens":2000,"cache_read_input_tokens":30000,"output_tokens":500}"#.to_owned(),
            Some("0.027"),
        ),
        (
            "at the long-context threshold, all input together",
            SONNET,
            sonnet(100_000, 50_000, 30_000, 20_000, 50_000, 1_000),
            Some("0.5625"),
        ),
        (
            "one token beyond it",
            SONNET,
            sonnet(100_001, 50_000, 30_000, 20_000, 50_000, 1_000),
            Some("1.117506"),
        ),
        ("standard", OPUS, opus(""), Some("0.022625")),
        ("fast, served fast", OPUS, opus(r#","speed":"fast""#), Some("0.13575")),
        ("fast asked for, served as usual", OPUS, opus(r#","speed":"standard""#), Some("0.022625")),
        ("kept to the United States", OPUS, opus(r#","inference_geo":"us""#), Some("0.0248875")),
        (
            "both",
            OPUS,
            opus(r#","inference_geo":"us","speed":"fast""#),
            Some("0.149325"),
        ),
        (
            "web searches",
            OPUS,
            r#"{"input_tokens":1000,"output_tokens":500,"server_tool_use":{"web_search_requests":3}}"#.to_owned(),
            Some("0.0475"),
        ),
        ("priority, served so", "gpt-5.4", gpt("priority"), Some("0.0085")),
        ("priority asked for, served as usual", "gpt-5.4", gpt("default"), Some("0.00425")),
        ("flex", "gpt-5.4", gpt("flex"), Some("0.00213")),
        ("batch", "gpt-5.4", gpt("batch"), Some("0.002125")),
        ("the smallest", SONNET, sonnet(1, 0, 0, 0, 1, 0), Some("0.0000033")),
        ("nothing", SONNET, sonnet(0, 0, 0, 0, 0, 0), Some("0.00")),
        ("an unknown model", "claude-unheard-of", sonnet(1_000, 0, 0, 0, 0, 500), None),
        (
            "fast, on a model that has no price for it",
            "claude-sonnet-5",
            r#"{"input_tokens":1000,"output_tokens":1,"speed":"fast"}"#.to_owned(),
            None,
        ),
    ];
    let book = PriceBook::builtin().unwrap();
    for (name, model, usage, expected) in cases {
        assert_eq!(complete(&book, model, &usage).as_deref(), expected, "{name}");
        assert_eq!(streamed(&book, model, &usage).as_deref(), expected, "{name}, streamed");
    }
}
