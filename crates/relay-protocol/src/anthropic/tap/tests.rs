use relay_domain::TokenCount;

use super::*;

/// A stream with everything in it: CJK, emoji, thinking, a tool call, pings, both cache lifetimes.
const TRANSCRIPT: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_01雪","type":"message","role":"assistant","model":"claude-opus-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":3,"service_tier":"standard","inference_geo":"us"}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"深く考える 🤔"}}

: a comment
event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"event: error\\ndata: {} 你好 👩‍🚀 {\"usage\":{\"input_tokens\":9}}"}}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"Bash","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"cmd\":\"ls\"}"}}

event: brand_new_event
data: {"type":"brand_new_event","usage":{"input_tokens":1}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":12,"output_tokens":89,"cache_read_input_tokens":null,"server_tool_use":{"web_search_requests":2},"speed":"fast","new_field":{"a":[1]}}}

event: message_stop
data: {"type":"message_stop"}

"#;

const SHORT: &str = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5}}}\n\n\
    event: content_block_delta\ndata: {\"d\":\"雪\"}\n\n\
    event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"x\"},\"usage\":{\"output_tokens\":7}}\n\n\
    event: message_stop\ndata: {}\n\n";

#[derive(Debug, PartialEq)]
struct Summary {
    usage: TokenUsage,
    source: UsageSource,
    served: Served,
    model: Option<String>,
    message_id: Option<String>,
    stop_reason: Option<String>,
    error: Option<ProviderError>,
    flags: [bool; 3],
}

fn tap<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> StreamTap {
    let mut tap = StreamTap::default();
    chunks.into_iter().for_each(|chunk| tap.feed(chunk));
    tap
}

fn summary<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Summary {
    let tap = tap(chunks);
    Summary {
        usage: tap.usage(),
        source: tap.usage_source(),
        served: tap.served().clone(),
        model: tap.served_model().map(ToString::to_string),
        message_id: tap.message_id().map(Into::into),
        stop_reason: tap.stop_reason().map(Into::into),
        error: tap.error().cloned(),
        flags: [tap.content_started(), tap.ended(), tap.at_boundary()],
    }
}

fn usage([input, output, cache_read, five_minutes, hour]: [u64; 5]) -> TokenUsage {
    TokenUsage {
        input: TokenCount::new(input),
        output: TokenCount::new(output),
        cache_read: TokenCount::new(cache_read),
        cache_write_5m: TokenCount::new(five_minutes),
        cache_write_1h: TokenCount::new(hour),
    }
}

fn expected() -> Summary {
    Summary {
        usage: usage([12, 89, 4000, 100, 200]),
        source: UsageSource::Final,
        served: Served {
            service_tier: Some("standard".into()),
            speed: Some("fast".into()),
            inference_geo: Some("us".into()),
            web_search_requests: Some(2),
        },
        model: Some("claude-opus-5-5".into()),
        message_id: Some("msg_01雪".into()),
        stop_reason: Some("tool_use".into()),
        error: None,
        flags: [true, true, true],
    }
}

#[test]
fn a_transcript_says_the_same_split_at_every_byte_with_any_line_ends() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = TRANSCRIPT.replace('\n', line_end);
        let stream = stream.as_bytes();
        assert_eq!(summary([stream]), expected(), "{line_end:?}, whole");
        assert_eq!(summary(stream.chunks(1)), expected(), "{line_end:?}, byte by byte");
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(summary([head, tail]), expected(), "{line_end:?}, cut at {cut}");
        }
    }
}

#[test]
fn a_transcript_without_event_lines_says_the_same() {
    let lines = TRANSCRIPT.lines().filter(|line| !line.starts_with("event:"));
    let stream: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert_eq!(summary([stream.as_bytes()]), expected());
    let named_message = TRANSCRIPT.replace("event: message_", "event: message\nx: ");
    assert_eq!(summary([named_message.as_bytes()]), expected());
}

#[test]
fn a_short_stream_says_the_same_for_every_pair_of_splits() {
    for stream in [SHORT.to_owned(), SHORT.replace('\n', "\r\n")] {
        let stream = stream.as_bytes();
        let whole = summary([stream]);
        assert_eq!(whole.usage, usage([5, 7, 0, 0, 0]));
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let parts = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(summary(parts), whole, "cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn flags_rise_with_the_frame_that_raises_them() {
    let mut tap = StreamTap::default();
    let mut steps = Vec::new();
    for frame in TRANSCRIPT.split_inclusive("\n\n") {
        tap.feed(frame.as_bytes());
        steps.push((tap.content_started(), tap.usage_source(), tap.ended()));
    }
    let (partial, last) = (UsageSource::Partial, UsageSource::Final);
    let mut expected = vec![(false, partial, false); 2];
    expected.extend([(true, partial, false); 7]);
    expected.extend([(true, last, false), (true, last, true)]);
    assert_eq!(steps, expected);
    assert_eq!(StreamTap::default().usage_source(), UsageSource::None);
}

#[test]
fn an_error_event_is_seen_wherever_it_comes() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
        \"message\":\"Overloaded\"}}\n\n";
    let frames: Vec<_> = SHORT.split_inclusive("\n\n").collect();
    for at in 0..=frames.len() {
        let stream = [&frames[..at], &[error], &frames[at..]].concat().concat();
        for cut in 0..=stream.len() {
            let (head, tail) = stream.as_bytes().split_at(cut);
            let seen = summary([head, tail]).error.unwrap();
            assert_eq!(
                (seen.kind.as_str(), seen.message.as_str()),
                ("overloaded_error", "Overloaded")
            );
        }
        let until = [&frames[..at], &[error]].concat().concat();
        assert_eq!(summary([until.as_bytes()]).flags, [2 <= at, 4 <= at, true], "error at {at}");
    }
    assert_eq!(tap([SHORT.as_bytes()]).error(), None);
}

#[test]
fn the_first_error_stays_and_plain_text_is_an_error_too() {
    let tap = tap([&b"event: error\ndata: upstream died\n\n"[..], b"event: error\ndata: {}\n\n"]);
    let error = tap.error().unwrap();
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("", "upstream died"));
}

#[test]
fn a_reason_to_stop_stays_when_a_later_delta_has_none() {
    let later = "event: message_delta\ndata: {\"delta\":{},\"usage\":{\"output_tokens\":8}}\n\n";
    let stream = SHORT.replace("event: message_stop\ndata: {}\n\n", later);
    let tap = tap([stream.as_bytes()]);
    assert_eq!(tap.stop_reason(), Some("x"));
    assert_eq!((tap.usage_source(), tap.ended()), (UsageSource::Final, false));
    assert_eq!(tap.usage(), usage([5, 8, 0, 0, 0]));
}

#[test]
fn the_last_value_of_each_usage_field_counts_and_nothing_is_added_up() {
    let start = |usage: &str| {
        format!("event: message_start\ndata: {{\"message\":{{\"usage\":{usage}}}}}\n\n")
    };
    let delta = |usage: &str| format!("event: message_delta\ndata: {{\"usage\":{usage}}}\n\n");
    let all = r#"{"input_tokens":10,"output_tokens":1,"cache_read_input_tokens":5}"#;
    let lifetimes = r#"{"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}"#;
    let cases = [
        (
            "a provisional output is replaced",
            start(all) + &delta(r#"{"output_tokens":50}"#),
            [10, 50, 5, 0, 0],
        ),
        (
            "running totals are not added",
            start(all) + &delta(r#"{"output_tokens":50}"#) + &delta(r#"{"output_tokens":60}"#),
            [10, 60, 5, 0, 0],
        ),
        (
            "a delta may correct the input",
            start(all) + &delta(r#"{"input_tokens":11}"#),
            [11, 1, 5, 0, 0],
        ),
        (
            "a delta may say zero",
            start(all) + &delta(r#"{"cache_read_input_tokens":0}"#),
            [10, 1, 0, 0, 0],
        ),
        ("null says nothing", start(all) + &delta(r#"{"input_tokens":null}"#), [10, 1, 5, 0, 0]),
        (
            "a wrong type says nothing",
            start(all) + &delta(r#"{"input_tokens":"9","output_tokens":-1,"cache_creation":7}"#),
            [10, 1, 5, 0, 0],
        ),
        ("a null usage says nothing", start(all) + &delta("null"), [10, 1, 5, 0, 0]),
        ("cache writes by lifetime", start(lifetimes), [0, 0, 0, 10, 20]),
        (
            "undivided cache writes are five-minute ones",
            start(r#"{"cache_creation_input_tokens":30}"#),
            [0, 0, 0, 30, 0],
        ),
        (
            "the undivided rest is five-minute",
            start(lifetimes) + &delta(r#"{"cache_creation_input_tokens":33}"#),
            [0, 0, 0, 13, 20],
        ),
        (
            "a smaller sum does not shrink the parts",
            start(lifetimes) + &delta(r#"{"cache_creation_input_tokens":3}"#),
            [0, 0, 0, 10, 20],
        ),
        (
            "a broken delta changes nothing",
            start(all) + "event: message_delta\ndata: {\"usage\":{\"input_tokens\":99}\n\n",
            [10, 1, 5, 0, 0],
        ),
    ];
    for (name, stream, expected) in cases {
        let tap = tap([stream.as_bytes()]);
        assert_eq!(tap.usage(), usage(expected), "{name}");
        assert_eq!(tap.usage_source(), UsageSource::Partial, "{name}");
    }
}

#[test]
fn only_an_end_that_tells_the_output_is_final() {
    let start = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
    let delta = |usage: &str| {
        format!("event: message_delta\ndata: {{\"delta\":{{\"stop_reason\":\"x\"}}{usage}}}\n\n")
    };
    let text = "event: content_block_delta\ndata: {\"delta\":{\"text\":\"abcdefgh\"}}\n\n";
    let stop = "event: message_stop\ndata: {}\n\n";
    let (partial, last) = (UsageSource::Partial, UsageSource::Final);
    for (name, deltas, expected) in [
        ("no delta", String::new(), partial),
        ("no usage", delta(""), partial),
        ("an empty usage", delta(r#","usage":{}"#), partial),
        ("the input alone", delta(r#","usage":{"input_tokens":5}"#), partial),
        ("no output", delta(r#","usage":{"output_tokens":0}"#), last),
        (
            "no output for content",
            text.to_owned() + &delta(r#","usage":{"output_tokens":0}"#),
            partial,
        ),
        (
            "the output of content",
            text.to_owned() + &delta(r#","usage":{"output_tokens":2}"#),
            last,
        ),
        ("first the output", delta(r#","usage":{"output_tokens":7}"#) + &delta(""), last),
        (
            "first the output, then the input",
            delta(r#","usage":{"output_tokens":7}"#) + &delta(r#","usage":{"input_tokens":5}"#),
            last,
        ),
    ] {
        let stream = [start, &deltas, stop].concat();
        assert_eq!(tap([stream.as_bytes()]).usage_source(), expected, "{name}");
    }
}

#[test]
fn a_broken_start_says_nothing() {
    let broken = SHORT.replacen("}}}", "}}", 1);
    let tap = tap([broken.as_bytes()]);
    assert_eq!(tap.usage(), usage([0, 7, 0, 0, 0]));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let mut stream = b"event: message_start\ndata: ".to_vec();
        stream.extend(bytes);
        stream.extend_from_slice(b"\n\nevent: message_stop\n\n");
        proptest::prop_assert!(tap(stream.chunks(7)).at_boundary());
    }
}

#[test]
fn output_is_guessed_by_the_length_of_its_content() {
    let delta = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
             {{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let mut tap = StreamTap::default();
    tap.feed(b"event: message_start\ndata: {}\n\nevent: ping\ndata: {}\n\n");
    assert_eq!(tap.output_by_length().get(), 0);
    for _ in 0..10 {
        tap.feed(delta("a").as_bytes());
    }
    assert_eq!(tap.output_by_length().get(), 10, "a token for each event");
    tap.feed(delta(&"word".repeat(1_000)).as_bytes());
    let guess = tap.output_by_length().get();
    assert!((950..=1_020).contains(&guess), "{guess}");
    let signature = delta(&"x".repeat(4_000)).replace("text_delta", "signature_delta");
    tap.feed(signature.as_bytes());
    assert_eq!(tap.output_by_length().get(), guess, "a signature is no output");
}
