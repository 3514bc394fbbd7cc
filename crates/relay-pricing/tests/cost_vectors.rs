//! What v1 answered for sixteen usages, beside what is right and, where they differ, why.

use relay_domain::{NanoUsd, TokenCount, TokenUsage};
use relay_pricing::{Charge, PriceBook, ServiceTier};
use serde::Deserialize;

/// One recorded case: what v1 was asked, and its answer in dollars as a floating number.
#[derive(Deserialize)]
struct Vector {
    name: String,
    model: String,
    service_tier: Option<String>,
    usage: V1Usage,
    v1_total_usd: f64,
    v1_matched: Option<String>,
}

#[derive(Deserialize)]
struct V1Usage {
    input_tokens: TokenCount,
    output_tokens: TokenCount,
    cache_creation_input_tokens: TokenCount,
    cache_read_input_tokens: TokenCount,
    cache_creation: Option<V1CacheCreation>,
    request_speed: Option<String>,
}

#[derive(Deserialize)]
struct V1CacheCreation {
    ephemeral_5m_input_tokens: TokenCount,
    ephemeral_1h_input_tokens: TokenCount,
}

impl Vector {
    fn charge(&self) -> Charge {
        let writes = self.usage.cache_creation.as_ref();
        let flat = self.usage.cache_creation_input_tokens;
        Charge {
            usage: TokenUsage {
                input: self.usage.input_tokens,
                output: self.usage.output_tokens,
                cache_read: self.usage.cache_read_input_tokens,
                cache_write_5m: writes.map_or(flat, |writes| writes.ephemeral_5m_input_tokens),
                cache_write_1h: writes
                    .map_or(TokenCount::ZERO, |writes| writes.ephemeral_1h_input_tokens),
            },
            tier: self.service_tier.as_deref().map_or(ServiceTier::Standard, ServiceTier::served),
            fast: self.usage.request_speed.as_deref() == Some("fast"),
            ..Charge::default()
        }
    }

    /// v1's dollars without the noise of their floating sum. `{:.9}` rounds to the nearest
    /// nano-dollar, and all amounts here are whole ones.
    fn v1_total(&self) -> Option<NanoUsd> {
        let text = format!("{:.9}", self.v1_total_usd);
        NanoUsd::parse_dollars(&text).ok()
    }
}

enum Verdict {
    /// v1 is right.
    Right,
    /// v1 is wrong: the right cost in nano-dollars, if there is one, and the reason.
    Wrong(Option<i64>, &'static str),
}
use Verdict::{Right, Wrong};

const VERDICTS: [(&str, Verdict); 16] = [
    ("sonnet4 plain", Right),
    ("sonnet4 cache flat", Right),
    ("sonnet4 cache 5m/1h", Right),
    (
        "sonnet4-5 [1m] >200k",
        Wrong(
            Some(1_522_500_000),
            "v1 keeps Claude flat; beyond 200,000 tokens of input this model costs 6 and 22.50",
        ),
    ),
    ("sonnet4-5 [1m] <200k", Right),
    ("opus46 fast", Right),
    (
        "opus46 fast no detail",
        Wrong(
            Some(131_250_000),
            "v1 forgets the fast mode when the cache writes come as one number; it costs 6 times",
        ),
    ),
    ("unknown", Wrong(None, "v1 charges an unknown model as a Sonnet; unknown is unknown")),
    ("unknown plain", Wrong(None, "v1 charges an unknown model as a Sonnet; unknown is unknown")),
    ("gpt5", Right),
    ("gpt5 priority", Right),
    ("gpt-5.5", Wrong(Some(965_000), "v1 charges gpt-5; gpt-5.5 has a price of its own")),
    ("bedrock", Right),
    ("fuzzy claude-sonnet-4", Right),
    ("gemini [1m] >200k", Right),
    (
        "gemini ctx1m beta flat >200k",
        Wrong(
            Some(640_000_000),
            "v1 wants `[1m]` in the name; the provider charges by the tokens, whatever the name",
        ),
    ),
];

#[test]
fn costs_are_v1s_where_v1_is_right() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("fixtures/cost_vectors.json")).expect("a valid fixture");
    assert_eq!(vectors.len(), VERDICTS.len());
    let book = PriceBook::builtin().expect("the book is well formed");
    for (vector, (name, verdict)) in vectors.iter().zip(VERDICTS) {
        assert_eq!(vector.name, name);
        let found = book.quote(&vector.model, &vector.charge()).map(|quote| quote.cost);
        match verdict {
            Right => {
                assert!(found.is_some(), "{name}");
                assert_eq!(found, vector.v1_total(), "{name}");
            }
            Wrong(right, why) => {
                assert_eq!(found, right.map(NanoUsd::from_nanos), "{name}: {why}");
                assert_ne!(found, vector.v1_total(), "{name}: v1 is right after all");
            }
        }
    }
}

#[test]
fn models_are_matched_as_v1_did_where_v1_did_not_guess() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("fixtures/cost_vectors.json")).expect("a valid fixture");
    let book = PriceBook::builtin().expect("the book is well formed");
    for vector in vectors {
        let expected = match vector.model.as_str() {
            // v1 dropped the date with the mark.
            "claude-sonnet-4-5-20250929[1m]" => Some("claude-sonnet-4-5-20250929"),
            // v1 took a price of another model.
            "gpt-5.5" => Some("gpt-5.5"),
            _ => vector.v1_matched.as_deref(),
        };
        let found = book.lookup(&vector.model).map(|(matched, _)| matched);
        assert_eq!(found, expected, "{}", vector.name);
    }
}
