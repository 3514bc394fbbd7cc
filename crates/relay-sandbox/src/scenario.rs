//! Which step answers the next request of a key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::{Answer, Content, DEFAULT_TEXT, DEFAULT_THINKING};
use crate::delivery;
use crate::error::SandboxError;
use crate::script::{Script, Step, Then};

/// The scripts of one sandbox.
#[derive(Debug)]
pub(crate) struct Scenarios {
    by_key: RwLock<HashMap<String, Arc<Scenario>>>,
    default: Arc<PreparedStep>,
}

/// A script and how far it has been played.
#[derive(Debug)]
struct Scenario {
    steps: Vec<Arc<PreparedStep>>,
    then: Then,
    played: AtomicUsize,
}

/// A step with everything that can be worked out before its request comes.
#[derive(Debug)]
pub(crate) struct PreparedStep {
    pub(crate) step: Step,
    pub(crate) headers: HeaderMap,
    pub(crate) is_paced: bool,
    plain: OnceLock<Arc<Answer>>,
    thinking: OnceLock<Arc<Answer>>,
}

impl Scenarios {
    /// The built-in scenarios.
    pub(crate) fn new() -> Self {
        let by_key = presets().map(|(key, step)| {
            let steps = vec![Arc::new(PreparedStep::new(step, HeaderMap::new()))];
            (
                key.to_owned(),
                Arc::new(Scenario { steps, then: Then::Repeat, played: AtomicUsize::new(0) }),
            )
        });
        let default = Arc::new(PreparedStep::new(Step::new(), HeaderMap::new()));
        Self { by_key: RwLock::new(by_key.into_iter().collect()), default }
    }

    /// Plays `script` from its start for requests with `key`.
    pub(crate) fn set(&self, key: String, script: Script) -> Result<(), SandboxError> {
        let prepare = |(index, step)| prepare(index, step).map(Arc::new);
        let steps = script.steps.into_iter().enumerate().map(prepare).collect::<Result<_, _>>()?;
        let scenario = Scenario { steps, then: script.then, played: AtomicUsize::new(0) };
        self.by_key.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(scenario));
        Ok(())
    }

    /// Forgets the script of `key`, and brings back what is built in for it.
    pub(crate) fn remove(&self, key: &str) {
        let preset =
            Self::new().by_key.into_inner().unwrap_or_else(PoisonError::into_inner).remove(key);
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        match preset {
            Some(preset) => by_key.insert(key.to_owned(), preset),
            None => by_key.remove(key),
        };
    }

    /// The step that answers the next request with `key`; the call uses it up.
    pub(crate) fn next(&self, key: &str) -> Arc<PreparedStep> {
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        let step = by_key.get(key).and_then(|scenario| scenario.next());
        Arc::clone(step.unwrap_or(&self.default))
    }
}

impl Scenario {
    fn next(&self) -> Option<&Arc<PreparedStep>> {
        let played = self.played.fetch_add(1, Ordering::Relaxed);
        match self.then {
            Then::Default => self.steps.get(played),
            Then::Repeat => self.steps.get(played).or(self.steps.last()),
        }
    }
}

impl PreparedStep {
    fn new(step: Step, headers: HeaderMap) -> Self {
        let is_paced = delivery::is_paced(&step);
        Self { step, headers, is_paced, plain: OnceLock::new(), thinking: OnceLock::new() }
    }

    /// The answer that depends on nothing in the request but whether it asks for thinking.
    pub(crate) fn usual_answer(&self, wants_thinking: bool) -> &Arc<Answer> {
        let cache = if wants_thinking { &self.thinking } else { &self.plain };
        cache.get_or_init(|| Arc::new(Answer::new(self.content(wants_thinking))))
    }

    /// What the step says, with the defaults filled in.
    pub(crate) fn content(&self, wants_thinking: bool) -> Content<'_> {
        let default_thinking = wants_thinking.then_some(DEFAULT_THINKING);
        Content {
            thinking: self.step.thinking.as_deref().or(default_thinking),
            text: self.step.text.as_deref().unwrap_or(DEFAULT_TEXT).into(),
            deltas: self.step.deltas,
            tool: None,
            max_tokens: None,
        }
    }
}

fn presets() -> [(&'static str, Step); 4] {
    let rate_limited =
        Step::failing(429, "rate_limit_error", "This request would exceed your rate limit.");
    [
        ("sk-sandbox-echo", Step::new().echo()),
        ("sk-sandbox-overloaded", Step::failing(529, "overloaded_error", "Overloaded")),
        ("sk-sandbox-rate-limited", rate_limited),
        ("sk-sandbox-slow", Step::new().delta_ms(200)),
    ]
}

fn prepare(index: usize, step: Step) -> Result<PreparedStep, SandboxError> {
    if let Some(status) = step.status.filter(|status| !(200..600).contains(status)) {
        return Err(SandboxError::InvalidStatus { step: index, status });
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &step.headers {
        let parsed = (HeaderName::try_from(name), HeaderValue::from_str(value));
        let (Ok(header), Ok(value)) = parsed else {
            return Err(SandboxError::InvalidHeader { step: index, name: name.clone() });
        };
        headers.insert(header, value);
    }
    Ok(PreparedStep::new(step, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scenarios: &Scenarios, key: &str) -> Vec<Option<String>> {
        (0..4).map(|_| scenarios.next(key).step.text.clone()).collect()
    }

    #[test]
    fn steps_are_used_one_a_request() {
        let steps = || [Step::new().text("a"), Step::new().text("b")];
        let [a, b] = ["a", "b"].map(|text| Some(text.to_owned()));
        let cases = [
            (
                "the last repeats",
                Script::new(steps()),
                vec![a.clone(), b.clone(), b.clone(), b.clone()],
            ),
            ("or the default follows", Script::new(steps()).then_default(), vec![a, b, None, None]),
            ("no steps", Script::default(), vec![None; 4]),
        ];
        let scenarios = Scenarios::new();
        for (name, script, expected) in cases {
            scenarios.set("k".to_owned(), script).unwrap();
            assert_eq!(texts(&scenarios, "k"), expected, "{name}");
            assert_eq!(texts(&scenarios, "other"), vec![None; 4], "{name}: another key");
        }
        scenarios.remove("k");
        assert_eq!(texts(&scenarios, "k"), vec![None; 4], "removed");
    }

    #[test]
    fn a_built_in_scenario_comes_back_when_its_replacement_is_removed() {
        let scenarios = Scenarios::new();
        let status = || scenarios.next("sk-sandbox-overloaded").step.status;
        assert_eq!(status(), Some(529));
        scenarios.set("sk-sandbox-overloaded".to_owned(), Step::new().status(503).into()).unwrap();
        assert_eq!(status(), Some(503));
        scenarios.remove("sk-sandbox-overloaded");
        assert_eq!(status(), Some(529));
    }

    #[test]
    fn a_script_that_http_cannot_carry_is_refused() {
        let set = |step: Step| {
            Scenarios::new()
                .set("k".to_owned(), Script::new([Step::new(), step]))
                .map_err(|e| e.to_string())
        };
        assert_eq!(
            set(Step::new().status(199)),
            Err("step 1: status 199 is not between 200 and 599".to_owned())
        );
        assert_eq!(
            set(Step::new().status(600)),
            Err("step 1: status 600 is not between 200 and 599".to_owned())
        );
        let invalid = Err("step 1: \"a b\" with this value is not a valid header".to_owned());
        assert_eq!(set(Step::new().header("a b", "x")), invalid);
        assert_eq!(set(Step::new().status(200).header("a", "x")), Ok(()));
    }
}
