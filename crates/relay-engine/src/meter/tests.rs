use std::task::Waker;

use relay_domain::{ApiKey, LimitKind, RateWindow};
use relay_testkit::{api_key, eventually};

use super::*;
use crate::fixture::Bench;

fn dollars(tenths: i64) -> NanoUsd {
    NanoUsd::from_nanos(tenths * 100_000_000)
}

fn come_to(tenths: i64) -> Estimate {
    Estimate { tokens: 1, cost: dollars(tenths), charged: dollars(tenths) }
}

fn payer(budget_policy: BudgetPolicy) -> Payer {
    let limits = Limits { daily_cost: Some(dollars(100)), budget_policy, ..Limits::default() };
    Payer { key: Arc::new(ApiKey { limits, ..api_key("k") }), group: None }
}

fn denied(used: i64, allowed: i64) -> HoldAnswer {
    let nanos = |tenths| u64::try_from(dollars(tenths).as_nanos()).unwrap();
    HoldAnswer::Denied(Denial {
        scope: LimitScope::Key(payer(BudgetPolicy::Hard).key.id.clone()),
        limit: LimitKind::DailyCost,
        used: nanos(used),
        held: 0,
        allowed: nanos(allowed),
        resets_at: None,
    })
}

struct Run {
    bench: Bench,
    core: Arc<Core>,
    meter: Meter,
}

impl Run {
    /// A request that was admitted with a dollar.
    async fn new(policy: BudgetPolicy, answers: impl IntoIterator<Item = HoldAnswer>) -> Self {
        let bench = Bench::new();
        bench.ledger.extend_answers.lock().unwrap().extend(answers);
        let core = Arc::clone(bench.engine(None).await.core());
        Self { bench, core, meter: Meter::new(payer(policy), come_to(10)) }
    }

    /// The stream has come to so much; the answers to what was asked before are there.
    async fn at(&mut self, tenths: i64) -> Option<Denial> {
        self.come_to(come_to(tenths)).await
    }

    async fn come_to(&mut self, so_far: Estimate) -> Option<Denial> {
        let model = ModelName::try_from("claude-sonnet-4-5").unwrap();
        let request = RequestId::new(self.core.clock.now(), 7);
        let metered = Metered { core: &self.core, request, model: &model };
        let mut cx = Context::from_waker(Waker::noop());
        let denial = self.meter.advance(&so_far, metered, &mut cx);
        let tasks = self.bench.tasks.clone();
        eventually("what was asked is answered", async || tasks.is_empty()).await;
        denial
    }

    fn asked(&self) -> Vec<NanoUsd> {
        let extensions = self.bench.ledger.extensions.lock().unwrap();
        extensions.iter().map(|extension| extension.estimate.charged).collect()
    }
}

#[tokio::test]
async fn a_hold_is_raised_ahead_of_need_and_once_at_a_time() {
    let mut run = Run::new(BudgetPolicy::Hard, [HoldAnswer::Held, HoldAnswer::Held]).await;
    assert_eq!(run.at(7).await, None);
    assert_eq!(run.asked(), [], "there is enough");
    assert_eq!(run.at(8).await, None);
    assert_eq!(run.asked(), [dollars(8) + dollars(4) + NanoUsd::from_nanos(80_000_000)]);
    assert_eq!(run.at(9).await, None);
    assert_eq!(run.asked().len(), 1, "the hold is larger now");
    assert_eq!(run.at(12).await, None);
    assert_eq!(run.asked().len(), 2);
}

#[tokio::test]
async fn a_hard_budget_is_used_to_its_end_and_then_cuts_off() {
    // Two tenths more are all there is.
    let answers = [denied(98, 100), HoldAnswer::Held, denied(100, 100)];
    let mut run = Run::new(BudgetPolicy::Hard, answers).await;
    assert_eq!(run.at(9).await, None);
    assert_eq!(run.at(9).await, None, "now the last of it is asked for");
    assert_eq!(run.asked()[1], dollars(12));
    assert_eq!(run.at(11).await, None, "it is held");
    assert_eq!(run.at(12).await, None, "all of it may be spent");
    let cut = run.at(13).await;
    assert_eq!(cut.map(|denial| denial.limit), Some(LimitKind::DailyCost));
}

#[tokio::test]
async fn what_comes_at_once_and_has_no_room_is_cut_off_as_soon_as_that_is_known() {
    let mut run = Run::new(BudgetPolicy::Hard, [denied(100, 100)]).await;
    assert_eq!(run.at(50).await, None, "nobody has said no yet");
    assert!(run.at(50).await.is_some());
}

#[tokio::test]
async fn neither_a_soft_budget_nor_a_store_that_fails_cuts_off() {
    let mut run = Run::new(BudgetPolicy::Soft, [denied(100, 100)]).await;
    for tenths in [9, 20, 500] {
        assert_eq!(run.at(tenths).await, None);
    }
    let mut run = Run::new(BudgetPolicy::Hard, []).await;
    run.bench.ledger.go_away(true);
    for tenths in [9, 20, 500] {
        assert_eq!(run.at(tenths).await, None);
    }
    assert_eq!(run.asked().len(), 1, "it is not asked again at once");
}

#[tokio::test]
async fn a_hard_limit_on_tokens_is_used_to_its_end_and_then_cuts_off() {
    let window = RateWindow {
        length: Duration::from_mins(5),
        requests: None,
        tokens: Some(1_000),
        cost: None,
    };
    let limits =
        Limits { window: Some(window), budget_policy: BudgetPolicy::Hard, ..Limits::default() };
    let payer = Payer { key: Arc::new(ApiKey { limits, ..api_key("k") }), group: None };
    let denied = |used| {
        HoldAnswer::Denied(Denial {
            scope: LimitScope::Key(payer.key.id.clone()),
            limit: LimitKind::WindowTokens,
            used,
            held: 0,
            allowed: 1_000,
            resets_at: None,
        })
    };
    let answers = [denied(800), HoldAnswer::Held, denied(1_000)];
    let mut run = Run::new(BudgetPolicy::Hard, answers).await;
    let tokens = |tokens| Estimate { tokens, ..Estimate::default() };
    run.meter = Meter::new(payer.clone(), tokens(100));
    for (so_far, asked) in [(70, 0), (80, 1), (90, 2), (200, 2), (290, 3), (300, 3)] {
        assert_eq!(run.come_to(tokens(so_far)).await, None, "{so_far}");
        assert_eq!(run.asked().len(), asked, "{so_far}");
    }
    assert_eq!(run.bench.ledger.extensions.lock().unwrap()[1].estimate.tokens, 300);
    let cut = run.come_to(tokens(301)).await;
    assert_eq!(cut.map(|denial| denial.limit), Some(LimitKind::WindowTokens));
}
