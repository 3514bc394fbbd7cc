//! The most that a request can come to, for budgets that must not be passed:
//! - every byte of the body is a token (no tokenizer makes more of them), up to what the model takes, and
//!   [`ADDED_TOKENS`] more for what the provider adds, or [`ADDED_FOR_TOOLS`] if it speaks of tools;
//! - an image counts as many tokens as the largest does;
//! - if the body has content whose tokens its bytes do not bound (an address, a file's id, a PDF), the input
//!   is all that the model takes; if it offers tools that the provider runs itself, that as often as the provider calls
//!   the model for one answer, and every search that it allows;
//! - if the body speaks of caching, all of it is written to the cache at the dearest price asked for;
//! - the output is all that the body allows, or all that the model gives;
//! - of the modes that the body speaks of (fast, priority), the dearest; kept to the United States or not,
//!   which an account's owner may have set with the provider without a word in the body.

use bytes::Bytes;
use memchr::memmem;
use relay_domain::{Multiplier, NanoUsd, TokenCount, TokenUsage};
use relay_pricing::{Charge, Reckoning, ServiceTier};
use relay_protocol::anthropic::RequestScan;
use relay_store::Estimate;

use super::hidden::Hidden;
use super::length;

/// Output of a model of which no maximum is known.
const MOST_OUTPUT: u64 = 128_000;
/// Input of a model of which no maximum is known, and of one whose larger context is a matter of a header.
const MOST_INPUT: u64 = 1_000_000;
/// Tokens that a provider adds to a request, and to one with tools, with room to spare.
pub(super) const ADDED_TOKENS: u64 = 256;
pub(super) const ADDED_FOR_TOOLS: u64 = 4_096;
/// Tokens of the largest image, however few bytes it has.
const MOST_OF_AN_IMAGE: u64 = 5_000;
/// How often Anthropic calls the model for one answer in which it runs tools itself, before it gives the
/// answer back with the stop reason `pause_turn`.
const MOST_TURNS: u64 = 10;

/// All that a request's body allows, whichever model serves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    input: Input,
    max_output: Option<TokenCount>,
    /// It may be written to the cache, and that for an hour.
    may_cache: bool,
    may_cache_for_an_hour: bool,
    may_be_fast: bool,
    web_searches: u64,
}

#[derive(Clone, Copy, Debug)]
enum Input {
    /// So many tokens, but not more than the model takes.
    Tokens(u64),
    /// All that the model takes, so often.
    Everything { times: u64 },
}

impl Allowance {
    /// What `body`, of which `scan` tells, allows.
    pub(crate) fn of(scan: &RequestScan, body: &Bytes) -> Self {
        let says_anything = may_hide_names(body);
        let says = |word: &str| says_anything || memmem::find(body, word.as_bytes()).is_some();
        let hidden = if says_anything { Hidden::ANYTHING } else { Hidden::of(body) };
        let input = if hidden.provider_tools {
            Input::Everything { times: MOST_TURNS }
        } else if hidden.content {
            Input::Everything { times: 1 }
        } else {
            let images = hidden.images.saturating_mul(MOST_OF_AN_IMAGE);
            let added = if says("tool") { ADDED_FOR_TOOLS } else { ADDED_TOKENS };
            Input::Tokens((length(body) + added).saturating_add(images))
        };
        let may_cache = says("cache_control");
        Self {
            input,
            max_output: scan.max_tokens,
            may_cache,
            may_cache_for_an_hour: may_cache && says("1h"),
            may_be_fast: says("fast"),
            web_searches: hidden.web_searches,
        }
    }

    /// The worst case at one price: what counts of it for its payer is multiplied by the product of `rates`.
    pub(crate) fn worst_case(&self, by: &Reckoning<'_>, rates: &[Multiplier]) -> Estimate {
        let price = by.price();
        let takes = price.max_input_tokens().map_or(MOST_INPUT, |most| most.get().max(MOST_INPUT));
        let input = match self.input {
            Input::Tokens(tokens) => tokens.min(takes),
            Input::Everything { times } => takes.saturating_mul(times),
        };
        let input = TokenCount::new(input);
        let output = self.max_output.or(price.max_output_tokens());
        let output = output.unwrap_or(TokenCount::new(MOST_OUTPUT));
        let answered = TokenUsage { output, ..TokenUsage::ZERO };
        let plain = TokenUsage { input, ..answered };
        let cached = self.may_cache.then_some(TokenUsage { cache_write_5m: input, ..answered });
        let longer = TokenUsage { cache_write_1h: input, ..answered };
        let longer = self.may_cache_for_an_hour.then_some(longer);
        let mut cost = NanoUsd::ZERO;
        for usage in [Some(plain), cached, longer].into_iter().flatten() {
            for tier in [ServiceTier::Standard, ServiceTier::Priority] {
                for fast in [false, true].into_iter().take_while(|fast| !fast || self.may_be_fast) {
                    for us_residency in [false, true] {
                        let web_searches = self.web_searches;
                        let charge = Charge { usage, tier, fast, us_residency, web_searches };
                        cost = cost.max(by.of(&charge));
                    }
                }
            }
        }
        let tokens = plain.total().get();
        Estimate { tokens, cost, charged: Multiplier::apply_all(rates, cost) }
    }
}

/// Whether a letter or digit of a name is written as an escape: then the body may say anything. Escaped
/// control characters and marks, which terminals' output is full of, hide no name.
fn may_hide_names(body: &[u8]) -> bool {
    memmem::find_iter(body, br"\u00").any(|at| {
        let digits = body.get(at + 4..at + 6);
        digits.is_some_and(|digits| matches!(digits, [b'3', b'0'..=b'9'] | [b'4'..=b'7', _]))
    })
}
