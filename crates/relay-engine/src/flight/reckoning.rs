//! What a request has come to by its length, where the provider has counted nothing of what it did.

use relay_domain::{ModelName, TokenCount, TokenUsage, UsageSource};
use relay_pricing::ModelPrice;
use relay_protocol::anthropic::{MessageFacts, Served, StreamTap};

use super::Flight;
use crate::upload::Sent;

/// Bytes of a body that make a token, where the provider counts nothing.
const BYTES_PER_TOKEN: u64 = 4;
/// Input of a model of which no maximum is known.
const MOST_INPUT: TokenCount = TokenCount::new(1_000_000);

impl Flight {
    /// Takes over what the tap has read of a stream that has ended. If the provider has counted nothing of
    /// what it said, lengths have to do.
    pub(crate) fn count_end(&mut self, tap: &StreamTap) {
        if tap.ended() || tap.error().is_some() {
            self.upload = None;
        }
        let output = tap.output_by_length();
        if output == TokenCount::ZERO || tap.usage().total() != TokenCount::ZERO {
            self.count_tap(tap);
        } else {
            self.count_by_length(output, tap.served_model(), tap.served());
        }
    }

    /// Takes over what a whole answer says of itself. If the provider has counted nothing of what it said,
    /// lengths have to do; nothing is reckoned for an answer that says nothing.
    pub(crate) fn count_whole(&mut self, facts: &MessageFacts) {
        self.upload = None;
        let (output, model) = (facts.output_by_length, facts.served_model.as_ref());
        let counted = facts.usage.filter(|usage| usage.total() != TokenCount::ZERO);
        match counted.or(facts.usage.filter(|_| output == TokenCount::ZERO)) {
            Some(usage) if usage.output == TokenCount::ZERO && output != TokenCount::ZERO => {
                let usage = TokenUsage { output, ..usage };
                self.count(usage, UsageSource::Partial, model, &facts.served);
            }
            Some(usage) => self.count(usage, UsageSource::Final, model, &facts.served),
            None if output == TokenCount::ZERO => {}
            None => self.count_by_length(output, model, &facts.served),
        }
    }

    /// An attempt sends the request's body.
    pub(crate) fn uploads(&mut self, sent: Sent) {
        self.upload = Some(sent);
    }

    /// The upstream has answered with an error: it charges nothing.
    pub(crate) fn is_refused(&mut self) {
        self.upload = None;
        self.withdraw();
    }

    /// Nobody hears the answer, or waits for it any longer. An upstream that has the whole request charges its input,
    /// whether it has counted that or not.
    pub(crate) fn count_sent(&mut self) {
        if self.record.usage_source == UsageSource::None && self.is_sent() {
            self.count_by_length(TokenCount::ZERO, None, &Served::default());
        }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.upload.as_ref().is_some_and(Sent::is_whole)
    }

    fn count_by_length(&mut self, output: TokenCount, model: Option<&ModelName>, served: &Served) {
        self.count(self.usage_by_length(output), UsageSource::Estimated, model, served);
    }

    /// The input is reckoned by the length of the request, up to what the model takes: not all of a body need be
    /// text.
    pub(super) fn usage_by_length(&self, output: TokenCount) -> TokenUsage {
        let book = self.core.prices.book();
        let price = book.lookup(self.record.model.as_str()).map(|(_, price)| price);
        let most = price.and_then(ModelPrice::max_input_tokens).unwrap_or(MOST_INPUT);
        let input = TokenCount::new(self.body_bytes.div_ceil(BYTES_PER_TOKEN)).min(most);
        TokenUsage { input, output, ..TokenUsage::ZERO }
    }
}
